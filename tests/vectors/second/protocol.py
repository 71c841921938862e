#!/usr/bin/env python3
"""Makes the worked examples in PROTOCOL.md a second time, from its text and the RFCs alone.

    protocol.py PROTOCOL.md          compares each ```vector block with what is made here
    protocol.py PROTOCOL.md --write  puts what is made here into the blocks

Nothing of the C code is used: the CBOR and Binary HTTP encoders are below, the cryptography is in
primitives.py. The C code is run on the same blocks by tests/vectors/vec_protocol.c.
"""
import base64
import hashlib
import json
import pathlib
import re
import sys
import time

import primitives as prim

SEED = bytes(range(0x40, 0x60))
NOW = 1767225600  # 2026-01-01
NONCE = bytes(range(32))
WIDTH = 96


# --- encodings


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    code, width = next((c, w) for c, w in ((24, 1), (25, 2), (26, 4), (27, 8)) if n < 1 << 8 * w)
    return bytes([major << 5 | code]) + n.to_bytes(width, "big")


def cbor(v):
    """Deterministic; maps in bytewise order of their encoded keys."""
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


def sign1(seed, header, payload):
    protected = cbor(header)
    tbs = cbor(["Signature1", protected, b"", payload])
    return b"\xd2" + cbor([protected, {}, payload, prim.ed25519_sign(seed, tbs)])


def varint(n):
    code, width = next((c, w) for c, w in ((0, 1), (1, 2), (2, 4), (3, 8)) if n < 1 << 8 * w - 2)
    return (n | code << 8 * width - 2).to_bytes(width, "big")


def text(b):
    return varint(len(b)) + b


def lines(fields):
    return b"".join(text(k) + text(v) for k, v in fields)


# --- the examples, in the order of the document


def claims():
    c = {"model": "demo", "worker": "worker-1", "software": "0.1.0", "model_version": "2026-01",
         "operator_key": bytes([0x11]) * 32, "manifest_digest": bytes([0x22]) * 32}
    return {**c, "claims": cbor(c)}


def binding():
    b = {"platform": b"simulated", "identity": prim.ed25519_public(SEED), "nonce": NONCE,
         "claims": claims()["claims"]}
    parts = [b"sealgate/attestation/v1", b"worker", b["platform"], b["identity"], b["nonce"],
             hashlib.sha256(b["claims"]).digest(), b""]
    joined = b"".join(len(p).to_bytes(4, "big") + p for p in parts)
    return {**b, "platform": "simulated", "report_data": hashlib.sha512(joined).digest()}


def registers():
    image = b"sealgate-demo"
    digest = hashlib.sha384(image).digest()
    return {"image": image.decode(), **{
        f"pcr{i}": hashlib.sha384(f"sealgate/simulated/pcr{i}".encode() + digest).digest()
        for i in range(3)}}


def evidence():
    r, data = registers(), binding()["report_data"]
    payload = {"time": NOW, "notice": "simulated: no protection", "report_data": data,
               "pcr0": r["pcr0"], "pcr1": r["pcr1"], "pcr2": r["pcr2"]}
    made = sign1(b"sealgate simulated: not a secret",
                 {1: -8, 3: "application/vnd.sealgate.simulated-evidence+cbor"}, cbor(payload))
    return {"image": r["image"], "report_data": data, "time": NOW, "evidence": made}


def key_list():
    key = prim.x25519(bytes([0x33]) * 32)
    suites = b"".join((1).to_bytes(2, "big") + aead.to_bytes(2, "big") for aead in (2, 1, 3))
    bare = bytes([7]) + (0x20).to_bytes(2, "big") + key + len(suites).to_bytes(2, "big") + suites
    hint = base64.urlsafe_b64encode(hashlib.sha256(bare).digest()[:16]).decode().rstrip("=")
    return {"key_id": 7, "public_key": key, "bare": bare,
            "key_list": len(bare).to_bytes(2, "big") + bare, "x-ohttp-key": hint}


def worker_tag():
    identities = [prim.ed25519_public(seed) for seed in (SEED, bytes(range(0x60, 0x80)))]
    tags = [identity.hex()[:16] for identity in identities]
    return {"identity": identities, "sealgate-worker": tags, "workers": "".join(t + "\n" for t in tags)}


def statement():
    s = {"worker": "worker-1", "key_list": key_list()["key_list"], "not_before": NOW - 60,
         "not_after": NOW + 3600, "generation": 1}
    made = sign1(SEED, {1: -8, 3: "application/vnd.sealgate.key-statement+cbor"}, cbor(s))
    return {"seed": SEED, **s, "key_statement": made}


def bundle():
    b = {"nonce": NONCE, "claims": claims()["claims"], "version": 1,
         "evidence": evidence()["evidence"], "identity": prim.ed25519_public(SEED),
         "platform": "simulated"}
    document = cbor(b)
    return {"nonce": NONCE, "key_statement": statement()["key_statement"], "document": document,
            "document_sha256": hashlib.sha256(document).digest(),
            "bundle": cbor({**b, "key_statement": statement()["key_statement"]})}


def bucket(n):
    power = next((1 << i for i in range(10, 15) if n <= 1 << i), None)
    return power or -(-n // 16384) * 16384


def buckets():
    return {str(n): bucket(n) for n in (0, 1024, 1025, 8193, 16384, 16385, 32769)}


def inner_request():
    fields = [(b"date", b"Thu, 01 Jan 2026 00:00:00 GMT"), (b"x-request-id", b"req_1"),
              (b"content-type", b"application/json")]
    content = b'{"model":"demo","messages":[]}'
    plain = b"\0" + text(b"POST") + text(b"https") + text(b"worker-1")
    plain += text(b"/v1/chat/completions") + text(lines(fields)) + text(content)
    plain += b"\0"  # no trailers
    return {"method": "POST", "worker": "worker-1", "path": "/v1/chat/completions",
            **{k.decode(): v.decode() for k, v in fields}, "content": content.decode(),
            "plaintext": plain, "zeros": bucket(len(plain)) - len(plain)}


def labeled(suite, label, data):
    return b"HPKE-v1" + suite + label + data


def exchange(ephemeral, header, info):
    """HPKE base mode (RFC 9180): encapsulated key, key, base nonce, exporter secret."""
    pk = key_list()["public_key"]
    enc = prim.x25519(ephemeral)
    kem, suite = b"KEM\x00\x20", b"HPKE" + header[1:]
    prk = prim.hkdf_extract(b"", labeled(kem, b"eae_prk", prim.x25519(ephemeral, pk)))
    shared = prim.hkdf_expand(prk, b"\0\x20" + labeled(kem, b"shared_secret", enc + pk), 32)
    context = b"\0" + prim.hkdf_extract(b"", labeled(suite, b"psk_id_hash", b""))
    context += prim.hkdf_extract(b"", labeled(suite, b"info_hash", info))
    secret = prim.hkdf_extract(shared, labeled(suite, b"secret", b""))

    def expand(label, n):
        return prim.hkdf_expand(secret, n.to_bytes(2, "big") + labeled(suite, label, context), n)
    return enc, expand(b"key", 32), expand(b"base_nonce", 12), expand(b"exp", 32), suite


def chunks(key, base_nonce, plains):
    """All but the last behind their length; the last, final one behind a zero."""
    out = b""
    for i, plain in enumerate(plains):
        nonce = bytes(a ^ b for a, b in zip(base_nonce, i.to_bytes(12, "big")))
        last = i == len(plains) - 1
        sealed = prim.aes_gcm_seal(key, nonce, b"final" if last else b"", plain)
        out += (b"\0" if last else varint(len(sealed))) + sealed
    return out


def sealed():
    ephemeral, nonce = bytes([0x44]) * 32, bytes(range(0x80, 0xA0))
    header = bytes([7]) + bytes.fromhex("002000010002")
    enc, key, base, exporter, suite = exchange(
        ephemeral, header, b"message/bhttp chunked request\0" + header)
    request = header + enc + chunks(key, base, [b"a request", b""])
    wanted = prim.hkdf_expand(exporter, b"\0\x20" + labeled(
        suite, b"sec", b"message/bhttp chunked response"), 32)
    prk = prim.hkdf_extract(enc + nonce, wanted)
    answer = chunks(prim.hkdf_expand(prk, b"key", 32), prim.hkdf_expand(prk, b"nonce", 12),
                    [b"an", b"swer", b""])
    return {"key": bytes([0x33]) * 32, "key_id": 7, "ephemeral": ephemeral, "request": "a request",
            "sealed_request": request, "response_nonce": nonce, "response": ["an", "swer"],
            "sealed_response": nonce + answer}


def padded_chunk(extra, content):
    """One content chunk with a padding line that fills extra and chunk to a multiple of 512."""
    bare = extra + len(text(content))
    if bare % 512 == 0:
        return text(content)
    return next(c for n in range(3, 2000)
                if (extra + len(c := text(content + b":~" + b"." * (n - 3) + b"\n"))) % 512 == 0)


def stream():
    event, receipt = b'data: {"id":"chatcmpl-1"}\n\n', bytes(range(16))
    fields = [(b"content-type", b"text/event-stream"), (b"x-receipt-id", b"0" * 32)]
    opening = b"\x03" + varint(200) + lines(fields) + b"\0"
    first = opening + padded_chunk(len(opening), event)
    value = b":" + base64.b64encode(receipt) + b":"
    tail = b"\0" + lines([(b"receipt", value)]) + b"\0"
    return {"receipt_id": "0" * 32, "event": event.decode(), "receipt": receipt,
            "first": first, "tail": tail, "zeros": -len(tail) % 512}


def comments():
    """By the rule's words: what of a stream is hashed."""
    streams = ["data: a\n\n", "data: a\n\n: keep-alive\n\ndata: b\n\n",
               "data: a\n\n: receipt x\n\ndata: [DONE]\n\n", "data: a\n: c\n\n",
               ":~...\ndata: a\n\n", ": c\n\n\ndata: a\n\n", ": a\n: b\n\ndata: c\n\n",
               ": c\r\n\r\ndata: a\r\n\r\n", "data: a\r: b\n\n", ": c\rx\ndata: a\n\n",
               ": c\n\rx\n", ": open"]
    return {s: kept(s) for s in streams}


def kept(s):
    out, boundary, after_comment = "", True, False
    for line in re.findall(r"[^\n]*\n|[^\n]+", s):
        body = re.fullmatch(r"([^\n]*?)(\r?\n|)", line)
        if line[0] == ":":
            cut = re.match(r":[^\r\n]*(\r\n|\n|\r|$)", line).end()
            rest = line[cut:]
            out += rest
            boundary = boundary and not rest
            after_comment = boundary
        elif not body[1]:  # an empty line
            out += "" if after_comment else line
            boundary, after_comment = True, False
        else:
            out += line
            boundary = after_comment = False
    return out


def receipt():
    r = registers()
    measured = {"measurement_type": "nitro-pcr", **{f"pcr{i}": r[f"pcr{i}"] for i in range(3)}}
    document = bundle()["document_sha256"]
    c = {"iss": "worker-1", "iat": NOW + 5, "cti": bytes.fromhex("0f" * 6 + "40" + "0f" + "80" * 8),
         "eat_nonce": bytes(range(8)), "model_id": "demo", "model_version": "2026-01",
         "model_hash": bytes([0x22]) * 32, "request_hash": hashlib.sha256(b"request").digest(),
         "response_hash": hashlib.sha256(b"response").digest(),
         "attestation_doc_hash": document, "policy_version": "0.1.0+00",
         "sequence_number": 1, "execution_time_ms": 1234, "memory_peak_mb": 9,
         "security_mode": "evaluation", "model_hash_scheme": "sha256-single"}
    keys = {"iss": 1, "iat": 6, "cti": 7, "eat_nonce": 10, "model_id": -65537,
            "model_version": -65538, "model_hash": -65539, "request_hash": -65540,
            "response_hash": -65541, "attestation_doc_hash": -65542, "policy_version": -65544,
            "sequence_number": -65545, "execution_time_ms": -65546, "memory_peak_mb": -65547,
            "security_mode": -65548, "model_hash_scheme": -65549}
    payload = {keys[k]: v for k, v in c.items()}
    payload[265] = "https://spec.cyntrisec.com/air/v1"
    payload[-65543] = measured
    return {"seed": SEED, **c, "image": r["image"], "receipt_id": c["cti"].hex(),
            "receipt": sign1(SEED, {1: -8, 3: 61}, cbor(payload))}


def policy_bundle():
    policy = "platforms: [simulated]\nmeasurements: any\n"
    second = bytes(range(0x60, 0x80))
    over = NOW + 90 * 86400
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    head = (f"sealgate-policy-bundle-v1\nversion: 7\ncreated: {time.strftime(stamp, time.gmtime(NOW))}\n"
            f"expires: {time.strftime(stamp, time.gmtime(over))}\nlength: {len(policy)}\n\n")
    whole = signed = head + policy + "\n"
    for seed in (SEED, second):
        sig = prim.ed25519_sign(seed, signed.encode())
        whole += f"signature: {prim.ed25519_public(seed).hex()} {sig.hex()}\n"
    return {"version": 7, "created": NOW, "expires": over, "policy": policy, "seed": [SEED, second],
            "digest": hashlib.sha256(signed.encode()).digest(), "bundle": whole}


def snp_table():
    guids = {"vcek": "63da758de6644564adc5f4b93be8accd", "vlek": "a8074bc2a25a483eaae639c045a0b8a1",
             "ask": "4ab7b379bbac4fe4a02f05aef327c782", "ark": "c0b406a4a803495297433fb6014cd0ae",
             "crl": "92f81bc358114d3d97ffd19f88dc67ea"}
    parts = {name: f"{name} in DER".encode() for name in guids}
    offset, heads = 24 * (len(guids) + 1), b""
    for name, data in parts.items():
        heads += bytes.fromhex(guids[name]) + offset.to_bytes(4, "little")
        heads += len(data).to_bytes(4, "little")
        offset += len(data)
    return {**{k: v.decode() for k, v in parts.items()},
            "table": heads + bytes(24) + b"".join(parts.values())}


def azure_evidence():
    lengths = {"hcl": 1236, "pcrs": 768, "quote": 145, "signature": 256}
    lines = {}
    for i, (name, length) in enumerate(lengths.items(), 1):
        lines[f"{name}_length"], lines[f"{name}_byte"] = length, bytes([i])
    made = cbor({name: bytes([i]) * n for i, (name, n) in enumerate(lengths.items(), 1)})
    return {**lines, "evidence_sha256": hashlib.sha256(made).digest()}


def tdx_collateral():
    c = {"ccel": b"event log", "pck_crl": b"PCK CRL, DER", "root_crl": b"root CRL, DER",
         "tcb_info": b'{"tcbInfo":{},"signature":""}', "dstack_log": b"[]",
         "qe_identity": b'{"enclaveIdentity":{},"signature":""}',
         "tcb_info_chain": b"PEM of TCB info", "qe_identity_chain": b"PEM of QE identity"}
    return {**{k: v.decode() for k, v in c.items()}, "collateral": cbor({**c, "version": 1})}


def gpu_evidence():
    ocsp, rim, leaf, root = b"OCSP answer", b"<manifest/>", b"leaf", b"root"
    devices = [b"measurements of a GPU", b"measurements of a switch"]
    made = cbor({"ocsp": [ocsp], "rims": [rim],
                 "devices": [[i, d, [leaf, root]] for i, d in enumerate(devices, 1)]})
    identity = prim.ed25519_public(SEED)
    parts = [b"sealgate/gpu-nonce/v1", NONCE, identity]
    joined = b"".join(len(p).to_bytes(4, "big") + p for p in parts)
    return {"ocsp": ocsp.decode(), "rim": rim.decode(), "device": [d.decode() for d in devices],
            "leaf": leaf.decode(), "root": root.decode(), "gpu_evidence": made, "nonce": NONCE,
            "identity": identity, "gpu_nonce": hashlib.sha256(joined).digest()}


def collateral_entry():
    e = {"key": "tdx-tcb-info-50806f000000", "body": b'{"tcbInfo":{},"signature":""}',
         "kind": "tdx-tcb-info", "chain": b"PEM of TCB info", "expires_at": NOW + 86400 * 30,
         "fetched_at": NOW}
    return {**{k: v.decode() if isinstance(v, bytes) else v for k, v in e.items()},
            "entry": cbor({**e, "version": 1})}


def sealed_secret():
    label, vendor, key_id = b"sealgate/sealed/v1", b"sev-snp", b"engine-token"
    root, nonce, secret = bytes(range(0x20, 0x40)), bytes(range(12)), b"sk-a-token"
    name = b"".join(len(p).to_bytes(4, "big") + p for p in (label, vendor, key_id))
    key = prim.hkdf_expand(prim.hkdf_extract(label, root), name, 32)
    return {"vendor": vendor.decode(), "key_id": key_id.decode(), "root": root, "nonce": nonce,
            "secret": secret.decode(),
            "sealed": nonce + prim.aes_gcm_seal(key, nonce, name, secret)}


def framed(sealed):
    return len(sealed).to_bytes(4, "big") + sealed


def xored(base, i):
    return bytes(a ^ b for a, b in zip(base, i.to_bytes(12, "big")))


def ehbp_key():
    key = prim.x25519(bytes([0x33]) * 32)
    config = bytes([0]) + bytes.fromhex("0020") + key + bytes.fromhex("000400010002")
    s = {"worker": "worker-1", "key_list": key_list()["key_list"], "not_before": NOW - 60,
         "not_after": NOW + 3600, "generation": 1, "ehbp_key": config}
    made = sign1(SEED, {1: -8, 3: "application/vnd.sealgate.key-statement+cbor"}, cbor(s))
    return {"seed": SEED, **s, "key_statement": made}


def ehbp_exchange():
    ephemeral, nonce, paper = bytes([0x44]) * 32, bytes(range(0x80, 0xA0)), b"a receipt"
    asks, answers = [b"a ", b"request"], [b"an", b"swer"]
    enc, key, base, exporter, suite = exchange(
        ephemeral, bytes.fromhex("00002000010002"), b"ehbp request")
    request = b"".join(framed(prim.aes_gcm_seal(key, xored(base, i), b"", plain))
                       for i, plain in enumerate(asks))
    secret = prim.hkdf_expand(exporter, b"\0\x20" + labeled(suite, b"sec", b"ehbp response"), 32)
    prk = prim.hkdf_extract(enc + nonce, secret)
    key, base = prim.hkdf_expand(prk, b"key", 32), prim.hkdf_expand(prk, b"nonce", 12)
    answer = b"".join(framed(prim.aes_gcm_seal(key, xored(base, i), b"", plain))
                      for i, plain in enumerate(answers))
    beside = prim.aes_gcm_seal(prim.hkdf_expand(prk, b"sealgate receipt key", 32),
                               prim.hkdf_expand(prk, b"sealgate receipt nonce", 12), b"", paper)
    return {"key": bytes([0x33]) * 32, "ephemeral": ephemeral, "ehbp-encapsulated-key": enc.hex(),
            "request": [p.decode() for p in asks], "sealed_request": request,
            "ehbp-response-nonce": nonce.hex(), "response": [p.decode() for p in answers],
            "sealed_response": answer, "receipt": paper.decode(),
            "x-sealed-receipt": base64.urlsafe_b64encode(beside).decode().rstrip("=")}


def filler(n):
    """A comment and an empty line that fill n bytes up to a multiple of 512."""
    room = -n % 512
    room += 512 * (0 < room < 4)
    return b":~" + b"." * (room - 4) + b"\n\n" if room else b""


def ehbp_stream():
    event, paper = b'data: {"id":"chatcmpl-1"}\n\n', bytes(range(16))
    comment = b": receipt " + base64.urlsafe_b64encode(paper).rstrip(b"=") + b"\n\n"
    return {"event": event.decode(), "receipt": paper, "first": event + filler(len(event)),
            "tail": filler(len(comment)) + comment}


def pool_keys():
    label, pool_key, link = b"sealgate/pool/v1", bytes(range(0x40, 0x60)), bytes(range(0x60, 0x80))
    epoch, first_id, kem = NOW // 3600, 7, b"KEM\0\x20"

    def pair(link):
        secret = prim.hkdf_extract(link, pool_key)
        ikm = prim.hkdf_expand(secret, b"hpke", 32)
        prk = prim.hkdf_extract(b"", labeled(kem, b"dkp_prk", ikm))
        sk = prim.hkdf_expand(prk, b"\0\x20" + labeled(kem, b"sk", b""), 32)
        return prim.hkdf_expand(secret, b"tag", 16), prim.x25519(sk)

    following = prim.hkdf_expand(prim.hkdf_extract(label, link), b"next", 32)
    (tag, public), (next_tag, next_public) = pair(link), pair(following)
    return {"pool_key": pool_key, "psk": prim.hkdf_expand(prim.hkdf_extract(label, pool_key),
                                                          b"keeper", 32),
            "epoch": epoch, "first_id": first_id, "link": link, "key_id": (first_id + epoch) % 256,
            "tag": tag, "public_key": public, "next_link": following,
            "next_key_id": (first_id + epoch + 1) % 256, "next_tag": next_tag,
            "next_public_key": next_public}


def pool_frames():
    def u64(v):
        return v.to_bytes(8, "big")

    keys, digest = pool_keys(), hashlib.sha256(b"an encapsulated key").digest()
    times = [3600, 120, 120]
    return {"key_life": times[0], "key_grace": times[1], "date_window": times[2], "now": NOW,
            "epoch": keys["epoch"], "first_id": keys["first_id"], "link": keys["link"],
            "welcome": b"\1" + b"".join(t.to_bytes(4, "big") for t in times) + u64(NOW) +
            u64(keys["epoch"]) + bytes([keys["first_id"]]) + keys["link"],
            "number": 1, "date": NOW + 1, "tag": keys["tag"], "digest": digest,
            "question": b"\2" + u64(1) + u64(NOW + 1) + keys["tag"] + digest,
            "verdict": 2, "answer": b"\3" + u64(1) + b"\2"}


BLOCKS = {"claims": claims, "binding": binding, "simulated-registers": registers,
          "simulated-evidence": evidence, "key-list": key_list, "worker-tag": worker_tag,
          "key-statement": statement,
          "bundle": bundle, "bucket": buckets, "inner-request": inner_request,
          "sealed-exchange": sealed, "stream-answer": stream, "transcript": comments,
          "receipt": receipt, "policy-bundle": policy_bundle,
          "snp-table": snp_table, "azure-evidence": azure_evidence,
          "tdx-collateral": tdx_collateral, "gpu-evidence": gpu_evidence,
          "collateral-entry": collateral_entry, "sealed-secret": sealed_secret,
          "ehbp-key": ehbp_key, "ehbp-exchange": ehbp_exchange, "ehbp-stream": ehbp_stream,
          "pool-keys": pool_keys, "pool-frames": pool_frames}


# --- into the document


def shown(v):
    if isinstance(v, bytes):
        return v.hex()
    return json.dumps(v, ensure_ascii=True)


def block(kind):
    out = [f"```vector {kind}"]
    for name, value in BLOCKS[kind]().items():
        for i, v in enumerate(value if isinstance(value, list) else [value]):
            left = json.dumps(name) if kind == "transcript" else f"{name}"
            line = f"{left} = {shown(v)}"
            if isinstance(v, bytes):
                while len(line) > WIDTH:
                    out.append(line[:WIDTH])
                    line = "  " + line[WIDTH:]
            out.append(line)
    return "\n".join(out + ["```"])


def main(path, write):
    prim.check()
    document = pathlib.Path(path)
    old = document.read_text()
    found = re.findall(r"^```vector (\S+)$", old, re.M)
    if sorted(found) != sorted(BLOCKS):
        sys.exit(f"{path} has {sorted(found)}, not each of {sorted(BLOCKS)} once")
    new = re.sub(r"^```vector (\S+)\n.*?^```$", lambda m: block(m[1]), old, flags=re.M | re.S)
    if write:
        document.write_text(new)
    elif new != old:
        sys.exit(f"{path}: the examples are not what {sys.argv[0]} makes; see its --write")
    print(f"{len(found)} blocks")


if __name__ == "__main__":
    main(sys.argv[1], "--write" in sys.argv[2:])
