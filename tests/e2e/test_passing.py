"""Endpoints that are passed on sealed: audio, images, moderations, reranking, uploads, messages"""
import base64
import hashlib
import json

import air
import common
from common import check, receipt_of
from engine_other import PIECES, SOUND
from stack import Stack
from suite import test

CANARY = b"marmoset-prompt-canary-77c2"
FORM = "multipart/form-data; boundary=----a_b'c d"


def stack():
    return common.shared("passing")


def finish():
    common.finish("passing")


def form(**fields):
    """A multipart body; bytes are files."""
    out = []
    for name, value in fields.items():
        is_file = isinstance(value, bytes)
        out.append(b"------a_b'c d\r\nContent-Disposition: form-data; name=\"" + name.encode() + b'"' +
                   (b'; filename="\xc3\xbc.bin"\r\nContent-Type: application/octet-stream'
                    if is_file else b"") + b"\r\n\r\n" + (value if is_file else value.encode()) + b"\r\n")
    return b"".join(out) + b"------a_b'c d--\r\n"


def data_of(answer):
    """What its events say, named ones too."""
    return [json.loads(line[6:]) for line in answer.body.decode().split("\n")
            if line.startswith("data: ")]


def asked(path, body, headers=(), method="POST"):
    """An answer whose receipt covers both sides byte for byte."""
    s = stack()
    answer = s.http(method, path, body, headers)
    assert answer.complete
    check(s, body if body is not None else b"", answer)
    return answer


@test("speech comes back as the bytes the engine made, with its own type")
def _():
    a = asked("/v1/audio/speech", {"model": "tts", "input": CANARY.decode(), "voice": "alloy"})
    assert a.status == 200 and a.header("content-type") == "audio/mpeg"
    assert bytes(a.body) == SOUND


@test("speech as a stream of events is one, without an end that is not its own")
def _():
    a = asked("/v1/audio/speech", {"model": "tts", "input": "x", "stream_format": "sse"})
    kinds = [e["type"] for e in data_of(a)]
    assert kinds == ["speech.audio.delta"] * 3 + ["speech.audio.done"]


@test("uploads arrive byte for byte, with their boundary, and are under the receipt")
def _():
    body = form(model="whisper", prompt=CANARY.decode(), file=SOUND)
    for path in ("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/images/edits",
                 "/v1/images/variations", "/v1/files"):
        seen = asked(path, body, [("content-type", FORM)]).json["seen"]
        assert seen == {"content_type": FORM, "length": len(body),
                        "sha256": hashlib.sha256(body).hexdigest()}, path


@test("an upload of many megabytes passes, chunked too")
def _():
    body = form(model="whisper", file=SOUND * 40)
    seen = asked("/v1/audio/transcriptions", body, [("content-type", FORM)]).json["seen"]
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()
    with stack().conn() as c:
        c.send(b"POST /v1/files HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n"
               b"content-type: " + FORM.encode() + b"\r\n\r\n")
        for i in range(0, len(body), 500000):
            piece = body[i:i + 500000]
            c.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        c.send(b"0\r\n\r\n")
        assert c.rest(c.head()).json["seen"]["sha256"] == hashlib.sha256(body).hexdigest()


@test("images and moderations are passed on both ways")
def _():
    a = asked("/v1/images/generations", {"model": "draw", "prompt": CANARY.decode()})
    assert base64.b64decode(a.json["data"][0]["b64_json"]) == SOUND[:999]
    assert asked("/v1/moderations", {"input": CANARY.decode()}).json["results"][0]["flagged"] is False


@test("reranking is passed on with every field")
def _():
    body = {"model": "r", "query": CANARY.decode(), "documents": ["a", "b"], "top_n": 1, "x": {"y": 1}}
    assert asked("/v1/rerank", body).json["seen"] == body


@test("the messages API passes, with the version the client named")
def _():
    s = stack()
    body = {"model": "claude-like", "max_tokens": 9,
            "messages": [{"role": "user", "content": CANARY.decode()}]}
    a = asked("/v1/messages?beta=true", body, [("anthropic-version", "2023-06-01"),
                                               ("anthropic-beta", "tools-1"), ("x-api-key", "sk-ant")])
    assert a.json["content"] == [{"type": "text", "text": "".join(PIECES)}]
    call = s.engine.of("claude-like")[-1]
    assert call.path == "/v1/messages?beta=true"
    assert call.headers["anthropic-version"] == "2023-06-01"
    assert call.headers["anthropic-beta"] == "tools-1"


@test("a stream of messages keeps its named events and ends with its own last one")
def _():
    a = asked("/v1/messages", {"model": "claude-like", "stream": True, "messages": []})
    assert a.header("content-type").startswith("text/event-stream")
    names = [l[7:] for l in a.body.decode().split("\n") if l.startswith("event: ")]
    kinds = [e["type"] for e in data_of(a)]
    assert names == kinds and kinds[0] == "message_start" and kinds[-1] == "message_stop"
    assert "".join(e["delta"]["text"] for e in data_of(a)
                   if e["type"] == "content_block_delta") == "".join(PIECES)


@test("errors of the messages API keep their status and form")
def _():
    a = asked("/v1/messages", {"model": "err-529", "messages": []})
    assert a.status == 529 and a.json["error"]["type"] == "overloaded_error"


@test("a stream of messages that breaks off does not look finished")
def _():
    for model in ("cut", "early"):
        a = stack().http("POST", "/v1/messages", {"model": model, "stream": True, "messages": []})
        kinds = [e.get("type") for e in data_of(a)]
        assert not a.complete and kinds[0] == "message_start" and "message_stop" not in kinds, a.body


@test("the last event of a stream of messages comes after its receipt")
def _():
    a = asked("/v1/messages", {"model": "claude-like", "stream": True, "messages": []})
    last = a.body.decode().rstrip("\n").split("\n\n")[-2:]
    assert last[0].startswith(": receipt ") and last[1].startswith("event: message_stop\n"), last


@test("deleting a model, and stored answers, are asked of the engine")
def _():
    for method, path in (("DELETE", "/v1/models/ft:x"), ("DELETE", "/v1/chat/completions/id-1"),
                         ("POST", "/v1/chat/completions/id-1"), ("GET", "/v1/chat/completions"),
                         ("GET", "/v1/chat/completions/id-1/messages")):
        before = len(stack().engine.calls)
        a = stack().http(method, path, {} if method == "POST" else None)
        assert a.status == 404 and a.error["code"], (method, path)
        assert stack().engine.calls[before].method == method


@test("a response may leave its model to the engine, or to a prompt that the engine keeps")
def _():
    async def script(call):
        call.whole(200, {"id": "resp_1", "object": "response", "status": "completed", "output": [],
                         "seen": call.json})
    body = {"prompt": {"id": "pmpt_1"}, "input": CANARY.decode()}
    with Stack(worker={"responses": "native"}) as s:
        s.engine.scripts[""] = script
        a = s.http("POST", "/v1/responses", body)
        assert a.status == 200 and a.json["seen"] == body, a.body
        a = s.http("POST", "/v1/responses", {"model": 5, "input": "x"})
        assert a.status == 400 and a.error["param"] == "model"
    a = stack().http("POST", "/v1/responses", {"input": "x"})
    assert a.status == 400 and a.error["param"] == "model", a.body


@test("answers that are empty by right are empty: to HEAD, and with 204")
def _():
    a = stack().http("HEAD", "/v1/models")
    whole = stack().http("GET", "/v1/models")
    assert a.status == 200 and a.complete and not a.body, a.body
    assert a.header("content-length") == str(len(whole.body))

    async def nothing(call):
        call.raw(b"HTTP/1.1 204 X\r\n\r\n")
    stack().engine.scripts["nothing"] = nothing
    a = stack().http("POST", "/v1/embeddings", {"model": "nothing", "input": "x"})
    assert a.status == 204 and a.complete and not a.body, a.headers
    assert receipt_of(stack(), a)[0]["response_hash"] == air.digest(b"")
