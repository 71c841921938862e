"""Receipts, checked by a verifier that shares nothing with the programs"""
import base64
import hashlib
import json
import time

import air
import common
from client import chat, chat_body, request_bytes
from common import check, receipt_of
from stack import Stack
from suite import test


def stack():
    return common.shared("receipts")


def finish():
    common.finish("receipts")


@test("hashes, signature and claims hold for an answer that is no stream")
def _():
    s = stack()
    body = chat_body("gpt-test")
    claims, _r = check(s, body, s.http("POST", "/v1/chat/completions", body))
    assert claims["model_id"] == "gpt-test" and claims["model_version"] == "unmanifested"


@test("hashes, signature and claims hold for a stream, its comments left out")
def _():
    s = stack()
    body = chat_body("gpt-test", True)
    answer = s.http("POST", "/v1/chat/completions", body)
    _claims, r = check(s, body, answer)
    line = [l for l in answer.body.decode().split("\n") if l.startswith(": receipt ")][0]
    inline = base64.urlsafe_b64decode(line.split(" ")[2] + "==")
    assert inline == base64.b64decode(r["receipt"])


@test("hashes hold for streams the engine sent badly, and for large and small ones")
def _():
    s = stack()
    for model in ("split", "glued", "crlf", "no-space", "decorated", "multi-line", "two-on-a-line",
                  "no-done", "no-last-line", "big-400", "tools"):
        body = chat_body(model, True)
        answer = s.http("POST", "/v1/chat/completions", body)
        assert answer.complete, model
        check(s, body, answer)


@test("hashes hold for every kind of request")
def _():
    s = stack()
    for method, path, body in (("GET", "/v1/models", None),
                               ("POST", "/v1/embeddings", {"model": "e", "input": "x"}),
                               ("POST", "/v1/rerank", {"model": "e", "query": "x"}),
                               ("POST", "/v1/completions", {"model": "gpt-test", "prompt": "p"})):
        answer = s.http(method, path, body)
        check(s, body if body is not None else b"", answer)


@test("errors of the engine have a receipt as well")
def _():
    s = stack()
    body = chat_body("err-400")
    answer = s.http("POST", "/v1/chat/completions", body)
    assert answer.status == 400
    check(s, body, answer)


@test("hashes hold for a chunked request body")
def _():
    s = stack()
    body = json.dumps(chat_body("gpt-test")).encode()
    with s.conn() as c:
        c.send(request_bytes("POST", "/v1/chat/completions", None,
                             [("content-type", "application/json"),
                              ("transfer-encoding", "chunked")], c.port))
        for i in range(0, len(body), 7):
            c.send(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]))
        c.send(b"0\r\n\r\n")
        answer = c.rest(c.head())
    check(s, body, answer)


@test("a receipt is found by receipt, completion and request id, as JSON and as CBOR")
def _():
    s = stack()
    answer = chat(s.port, "gpt-test")
    ids = [answer.header("x-receipt-id"), answer.json["id"], answer.header("x-request-id")]
    found = [s.http("GET", f"/v1/receipts/{i}") for i in ids]
    assert all(f.status == 200 for f in found), [f.body for f in found]
    assert len({bytes(f.body) for f in found}) == 1
    raw = s.http("GET", f"/v1/receipts/{ids[0]}", headers=[("accept", "application/eat+cwt")])
    assert raw.header("content-type") == "application/eat+cwt"
    assert bytes(raw.body) == base64.b64decode(found[0].json["receipt"])


@test("a stream's receipt is found by its completion id")
def _():
    s = stack()
    answer = chat(s.port, "gpt-test", True)
    by_id = s.http("GET", f"/v1/receipts/{answer.chunks()[0]['id']}")
    assert by_id.status == 200 and by_id.json["id"] == answer.header("x-receipt-id")


@test("an unknown receipt is a 404 error object")
def _():
    s = stack()
    for name in ("0" * 32, "nothing", "chatcmpl-none", "%00", "..%2f..%2fetc", "a" * 600):
        a = s.http("GET", f"/v1/receipts/{name}")
        assert a.status in (400, 404) and a.error["type"] == "invalid_request_error", (name, a.body)


@test("the evidence document hashes to attestation_doc_hash and binds the signing key")
def _():
    s = stack()
    claims, r = receipt_of(s, chat(s.port, "gpt-test"))
    evidence = base64.b64decode(r["evidence"])
    assert hashlib.sha256(evidence).digest() == claims["attestation_doc_hash"]
    assert r["evidence_sha256"] == claims["attestation_doc_hash"].hex()
    registers = claims["enclave_measurements"]
    assert registers["measurement_type"] == "nitro-pcr"
    for name in ("pcr0", "pcr1", "pcr2"):
        assert len(registers[name]) == 48 and registers[name] in evidence, name
    assert bytes.fromhex(r["signing_key"]) in evidence


@test("sequence numbers only grow")
def _():
    s = stack()
    seen = [receipt_of(s, chat(s.port, "gpt-test"))[0]["sequence_number"] for _ in range(5)]
    assert seen == sorted(set(seen)), seen


@test("a flipped bit anywhere makes the verifier refuse")
def _():
    s = stack()
    r = s.http("GET", f"/v1/receipts/{chat(s.port, 'gpt-test').header('x-receipt-id')}").json
    raw, key = base64.b64decode(r["receipt"]), bytes.fromhex(r["signing_key"])
    for at in range(0, len(raw), 97):
        broken = bytearray(raw)
        broken[at] ^= 1
        try:
            air.verify(bytes(broken), key)
        except Exception:
            continue
        raise AssertionError(f"byte {at}")


@test("receipts outlive the gateway")
def _():
    with Stack() as s:
        answer = chat(s.port, "gpt-test")
        s.gateway.stop()
        s.start_gateway()
        s.wait_ready()
        claims, _r = receipt_of(s, answer)
        assert claims["response_hash"] == air.digest(bytes(answer.body))


@test("receipts name the model of the worker's manifest")
def _():
    with Stack(start_gateway=False) as s:
        path = s.write("manifest.json", json.dumps({
            "model_id": "tiny/model", "model_version": "3.1", "model_hash": "ab" * 32,
            "model_hash_scheme": "sha256-single"}))
        s.workers[0].stop()
        s.workers[0] = s.start_worker(0, manifest=path, issuer="tests")
        s.start_gateway()
        s.wait_ready()
        claims, _r = receipt_of(s, chat(s.port, "gpt-test"))
        assert claims["model_version"] == "3.1" and claims["model_hash"] == b"\xab" * 32
        assert claims["model_hash_scheme"] == "sha256-single" and claims["iss"] == "tests"
        assert claims["model_id"] == "tiny/model"
