"""A client of the EHBP door that hides nothing, over HTTP/1.1: every frame, and where the body ended."""
import base64
import os
import pathlib
import sys

from client import Broken, Conn

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "vectors" / "second"))
import primitives as prim  # noqa: E402

SUITE = b"HPKE\x00\x20\x00\x01\x00\x02"
KEM = b"KEM\x00\x20"
KEYS = "/.well-known/hpke-keys"


def labeled(suite, label, data):
    return b"HPKE-v1" + suite + label + data


def expand(prk, suite, label, context, n):
    return prim.hkdf_expand(prk, n.to_bytes(2, "big") + labeled(suite, label, context), n)


def nonce_of(base, i):
    return bytes(a ^ b for a, b in zip(base, i.to_bytes(12, "big")))


def gcm_open(key, nonce, sealed):
    """The key stream is what sealing adds to a text; then the tag tells."""
    body = sealed[:-16]
    plain = prim.aes_gcm_seal(key, nonce, b"", body)[:-16]
    if prim.aes_gcm_seal(key, nonce, b"", plain) != sealed:
        raise Broken("does not open")
    return plain


def public_key(config):
    """Out of a bare key configuration, which must be exactly the one of EHBP."""
    assert len(config) == 41 and config[:3] == bytes.fromhex("000020"), config.hex()
    assert config[35:] == bytes.fromhex("000400010002"), config.hex()
    return config[3:35]


class Exchange:
    """HPKE base mode (RFC 9180) for one request and its answer."""

    def __init__(self, pk):
        secret = os.urandom(32)
        self.enc = prim.x25519(secret)
        prk = prim.hkdf_extract(b"", labeled(KEM, b"eae_prk", prim.x25519(secret, pk)))
        shared = expand(prk, KEM, b"shared_secret", self.enc + pk, 32)
        context = b"\0" + prim.hkdf_extract(b"", labeled(SUITE, b"psk_id_hash", b""))
        context += prim.hkdf_extract(b"", labeled(SUITE, b"info_hash", b"ehbp request"))
        prk = prim.hkdf_extract(shared, labeled(SUITE, b"secret", b""))
        self.key = expand(prk, SUITE, b"key", context, 32)
        self.base = expand(prk, SUITE, b"base_nonce", context, 12)
        exporter = expand(prk, SUITE, b"exp", context, 32)
        self.exported = expand(exporter, SUITE, b"sec", b"ehbp response", 32)
        self.sent = 0

    def seal(self, plain):
        sealed = prim.aes_gcm_seal(self.key, nonce_of(self.base, self.sent), b"", plain)
        self.sent += 1
        return len(sealed).to_bytes(4, "big") + sealed

    def begin(self, nonce):
        self.prk = prim.hkdf_extract(self.enc + nonce, self.exported)
        self.answer_key = prim.hkdf_expand(self.prk, b"key", 32)
        self.answer_base = prim.hkdf_expand(self.prk, b"nonce", 12)

    def open_receipt(self, field):
        sealed = base64.urlsafe_b64decode(field + "=" * (-len(field) % 4))
        return gcm_open(prim.hkdf_expand(self.prk, b"sealgate receipt key", 32),
                        prim.hkdf_expand(self.prk, b"sealgate receipt nonce", 12), sealed)

    def frames(self, body):
        """Of a body that may have been cut: Broken inside a frame, but not between two."""
        out, at = [], 0
        while at < len(body):
            n = int.from_bytes(body[at:at + 4], "big")
            sealed = body[at + 4:at + 4 + n]
            if len(body) - at < 4 or len(sealed) < n:
                raise Broken("cut inside a frame")
            if n > 0:
                nonce = nonce_of(self.answer_base, len(out))
                out.append(gcm_open(self.answer_key, nonce, bytes(sealed)))
            at += 4 + n
        return out


def fetch_key(port):
    with Conn(port) as c:
        answer = c.get("GET", KEYS)
    assert answer.status == 200, (answer.status, bytes(answer.body))
    assert answer.header("content-type") == "application/ohttp-keys"
    return public_key(bytes(answer.body))


def opened(answer, exchange):
    """The answer with its plaintext in the place of its body, in frames; as it came if it is not
    sealed. A receipt in front is opened."""
    nonce = answer.header("ehbp-response-nonce")
    answer.sealed, answer.receipt = nonce is not None, None
    if not answer.sealed:
        return answer
    exchange.begin(bytes.fromhex(nonce))
    answer.frames = exchange.frames(answer.body)
    answer.body = bytearray(b"".join(answer.frames))
    if answer.header("x-sealed-receipt"):
        answer.receipt = exchange.open_receipt(answer.header("x-sealed-receipt"))
    last = bytes(answer.body).rsplit(b"\n: receipt ", 1)
    if len(last) == 2 and last[1].endswith(b"\n\n"):
        value = last[1][:-2].decode()
        answer.receipt = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    return answer


def head_of(exchange, length, path, headers):
    lines = [f"POST {path} HTTP/1.1", "host: door", "content-type: application/json",
             f"Ehbp-Encapsulated-Key: {exchange.enc.hex()}", f"content-length: {length}"]
    return "\r\n".join([*lines, *(f"{k}: {v}" for k, v in headers)]).encode() + b"\r\n\r\n"


def send(port, exchange, sealed, path="/v1/chat/completions", headers=()):
    """On a connection of its own."""
    with Conn(port) as c:
        c.send(head_of(exchange, len(sealed), path, headers) + sealed)
        answer = c.rest(c.head())
    answer.exchange, answer.request, answer.came = exchange, sealed, bytes(answer.body)
    return opened(answer, exchange)


def ask(port, pk, body, path="/v1/chat/completions", headers=(), frame=None):
    """One request in frames of `frame` bytes (None: in one)."""
    exchange = Exchange(pk)
    step = frame or max(len(body), 1)
    sealed = b"".join(exchange.seal(body[i:i + step]) for i in range(0, len(body), step))
    return send(port, exchange, sealed, path, headers)
