"""A receipt verifier that shares nothing with the programs: own CBOR, own Ed25519 (RFC 8032), own
reading of the SSE comment rule."""
import hashlib

# ---- CBOR, deterministic only ----


class Tagged:
    def __init__(self, tag, value):
        self.tag, self.value = tag, value


def read_head(data, at):
    kind, low = data[at] >> 5, data[at] & 31
    at += 1
    if low < 24:
        return kind, low, at
    assert low <= 27, "indefinite or reserved length"
    size = 1 << (low - 24)
    value = int.from_bytes(data[at:at + size], "big")
    assert value >= (24 if size == 1 else 1 << (size * 4)), "not the shortest form"
    return kind, value, at + size


def read_item(data, at):
    kind, n, at = read_head(data, at)
    if kind == 0:
        return n, at
    if kind == 1:
        return -1 - n, at
    if kind in (2, 3):
        assert at + n <= len(data), "truncated"
        raw = data[at:at + n]
        return (raw if kind == 2 else raw.decode()), at + n
    if kind == 4:
        out = []
        for _ in range(n):
            item, at = read_item(data, at)
            out.append(item)
        return out, at
    if kind == 5:
        out, keys = {}, []
        for _ in range(n):
            begin = at
            key, at = read_item(data, at)
            keys.append((at - begin, data[begin:at]))
            assert key not in out, "repeated key"
            out[key], at = read_item(data, at)
        assert keys == sorted(keys), "keys are not in order"
        return out, at
    if kind == 6:
        value, at = read_item(data, at)
        return Tagged(n, value), at
    raise AssertionError("a type that does not belong into a receipt")


def cbor(data):
    item, at = read_item(data, 0)
    assert at == len(data), "bytes behind the item"
    return item


def bstr(data):
    n = len(data)
    if n < 24:
        return bytes([0x40 | n]) + data
    size = 1 if n < 256 else 2 if n < 65536 else 4
    return bytes([0x40 | 23 + size.bit_length()]) + n.to_bytes(size, "big") + data


# ---- Ed25519 ----

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    u, v = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    w, z = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = v - u, z - w, z + w, v + u
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    out = (0, 1, 1, 0)
    while n:
        if n & 1:
            out = add(out, point)
        point = add(point, point)
        n >>= 1
    return out


def point_of(raw):
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    assert y < P, "not a point"
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * ROOT % P
    assert (x * x - xx) % P == 0, "not a point"
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519_is_good(key, message, signature):
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % Q
    left, right = times(s, BASE), add(point_of(r), times(h, point_of(key)))
    return ((left[0] * right[2] - right[0] * left[2]) % P == 0 and
            (left[1] * right[2] - right[1] * left[2]) % P == 0)


# ---- AIR v1 ----

NAMES = {1: "iss", 6: "iat", 7: "cti", 10: "eat_nonce", 265: "eat_profile", -65537: "model_id",
         -65538: "model_version", -65539: "model_hash", -65540: "request_hash",
         -65541: "response_hash", -65542: "attestation_doc_hash", -65543: "enclave_measurements",
         -65544: "policy_version", -65545: "sequence_number", -65546: "execution_time_ms",
         -65547: "memory_peak_mb", -65548: "security_mode", -65549: "model_hash_scheme",
         -70001: "gpu"}
OPTIONAL = {"eat_nonce", "model_hash_scheme", "gpu"}
V1 = "https://spec.cyntrisec.com/air/v1"
SEALGATE = "urn:uuid:2c7f3bb5-9406-4da3-9905-328dcd6f31be"  # PROTOCOL.md 9.1
PROTECTED = bytes.fromhex("a2012703183d")


def verify(receipt, key, profile=V1):
    """The claims by name, if the signature is good and the form is right."""
    outer = cbor(receipt)
    assert isinstance(outer, Tagged) and outer.tag == 18, "no COSE_Sign1"
    protected, unprotected, payload, signature = outer.value
    assert protected == PROTECTED and unprotected == {}, "headers"
    signed = b"\x84\x6aSignature1" + bstr(protected) + b"\x40" + bstr(payload)
    assert ed25519_is_good(key, signed, signature), "the signature is bad"
    claims = {NAMES[k]: v for k, v in cbor(payload).items()}
    assert set(NAMES.values()) - OPTIONAL <= set(claims), "a claim is missing"
    assert claims["eat_profile"] == profile
    assert claims["security_mode"] in ("production", "evaluation")
    assert len(claims["cti"]) == 16 and any(claims["cti"])
    return claims


def without_comments(stream):
    """What of an event stream is hashed: all but comment lines, and the empty line after one that
    stood between events. For streams with LF only, which is what the gateway gives out."""
    assert b"\r" not in stream
    out, between, after = [], True, False
    for line in stream.splitlines(keepends=True):
        if line.startswith(b":"):
            after = between
        elif line == b"\n" and after:
            after = False
        else:
            out.append(line)
            after = False
            between = line == b"\n"
    return b"".join(out)


def digest(data):
    return hashlib.sha256(data).digest()
