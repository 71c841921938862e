#!/usr/bin/env python3
"""A second, small implementation of the attestation formats, by which test_verify.c's values were made.

Needs openssl(1) for Ed25519. Prints the digests that the C tests hold as constants.
"""
import hashlib
import subprocess
import tempfile

PKCS8 = bytes.fromhex("302e020100300506032b657004220420")


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for code, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << (8 * width):
            return bytes([major << 5 | code]) + n.to_bytes(width, "big")


def cbor(v):
    if isinstance(v, int):
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list):
        return head(4, len(v)) + b"".join(map(cbor, v))
    pairs = sorted((cbor(k), cbor(x)) for k, x in v.items())
    return head(5, len(pairs)) + b"".join(k + x for k, x in pairs)


def openssl(args, *files):
    names = []
    for content in files:
        f = tempfile.NamedTemporaryFile(delete=False)
        f.write(content)
        f.close()
        names.append(f.name)
    return subprocess.run(["openssl"] + [a.format(*names) for a in args], check=True,
                          capture_output=True).stdout


def public(seed):
    return openssl(["pkey", "-inform", "DER", "-in", "{0}", "-pubout", "-outform", "DER"],
                   PKCS8 + seed)[-32:]


def sign1(seed, content_type, payload):
    protected = cbor({1: -8, 3: content_type})
    tbs = cbor(["Signature1", protected, b"", payload])
    signature = openssl(["pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey", "{0}", "-in",
                         "{1}"], PKCS8 + seed, tbs)
    return b"\xd2" + cbor([protected, {}, payload, signature])


def binding(platform, identity, nonce, claims, gpu=b""):
    fields = [b"sealgate/attestation/v1", b"worker", platform.encode(), identity, nonce,
              hashlib.sha256(claims).digest(), hashlib.sha256(gpu).digest() if gpu else b""]
    return hashlib.sha512(b"".join(len(f).to_bytes(4, "big") + f for f in fields)).digest()


def registers(image):
    inner = hashlib.sha384(image).digest()
    return [hashlib.sha384(b"sealgate/simulated/pcr%d" % i + inner).digest() for i in range(3)]


def main():
    seed = bytes([7] * 32)
    nonce = bytes(range(32))
    now = 1750000000
    claims = cbor({"model": "demo", "worker": "worker-1", "software": "0.1.0",
                   "operator_key": bytes([0x11] * 32), "model_version": "1",
                   "manifest_digest": bytes([0x22] * 32)})
    identity = public(seed)
    report = binding("simulated", identity, nonce, claims)
    pcr = registers(b"test image")
    evidence = sign1(b"sealgate simulated: not a secret",
                     "application/vnd.sealgate.simulated-evidence+cbor",
                     cbor({"pcr0": pcr[0], "pcr1": pcr[1], "pcr2": pcr[2], "time": now,
                           "notice": "simulated: no protection", "report_data": report}))
    statement = sign1(seed, "application/vnd.sealgate.key-statement+cbor",
                      cbor({"worker": "worker-1", "key_list": bytes([0xAB] * 45),
                            "not_before": now - 60, "not_after": now + 3600, "generation": 3}))
    document = {"version": 1, "platform": "simulated", "evidence": evidence, "identity": identity,
                "nonce": nonce, "claims": claims}
    bundle = dict(document, key_statement=statement)
    print("claims", claims.hex())
    print("binding", report.hex())
    print("binding with GPU", binding("simulated", identity, nonce, claims, b"gpu").hex())
    print("pcr0", pcr[0].hex())
    print("statement", statement.hex())
    print("document digest", hashlib.sha256(cbor(document)).hexdigest())
    print("bundle digest", hashlib.sha256(cbor(bundle)).hexdigest(), len(cbor(bundle)))


main()
