"""Engines that answer badly, late, or not at all"""
import base64

import air
import common
from client import chat, chat_body, request_bytes, wait_for
from engine import WORDS, law_stream
from stack import Stack
from suite import test

TEXT = "".join(WORDS)


def stack():
    return common.shared("engines")


def finish():
    common.finish("engines")


def response_hash(a):
    """What the receipt in a stream's comment says of the stream."""
    line = [x for x in a.body.decode().split("\n") if x.startswith(": receipt ")][0]
    receipt = base64.urlsafe_b64decode(line.split(" ")[2] + "==")
    claims = air.cbor(air.cbor(receipt).value[2])
    return {air.NAMES[k]: v for k, v in claims.items()}["response_hash"]


def refused(a, status, code=None, kind=None):
    assert a.status == status, (a.status, a.body)
    assert a.complete and a.header("content-type") == "application/json"
    assert code is None or a.error["code"] == code, a.error
    assert kind is None or a.error["type"] == kind, a.error


def broken(a):
    """What a client must see of an answer that was cut: an error event, then no end."""
    assert a.status == 200 and not a.complete, (a.status, a.complete, bytes(a.body[-300:]))
    assert b"[DONE]" not in a.body and b": receipt" not in a.body
    assert '{"error":' in a.events()[-1].replace(" ", ""), a.body[-300:]
    assert not a.trailers


@test("an engine's own error objects pass with their status, streamed or not")
def _():
    for status in (400, 401, 403, 404, 422, 429, 500, 503):
        for stream in (False, True):
            a = chat(stack().port, f"err-{status}", stream)
            refused(a, status)
            assert a.error["message"] == f"the engine says {status}"
            assert a.header("x-request-id")
    assert chat(stack().port, "err-429").header("retry-after")


@test("an engine's message in another form becomes an error object, and is not lost")
def _():
    forms = {"error": "too long", "message": "too long", "detail": "too long"}
    for key, value in [*forms.items(), ("detail", [{"loc": ["body"], "msg": "too long"}])]:
        async def script(call, body={key: value, "code": 400}):
            call.whole(400, body)
        stack().engine.scripts["other-form"] = script
        for stream in (False, True):
            a = chat(stack().port, "other-form", stream)
            refused(a, 400, kind="invalid_request_error")
            assert a.error["message"] == "too long", a.body


@test("an answer without a body is malformed, not empty")
def _():
    async def script(call):
        call.whole(200, b"")
    stack().engine.scripts["nothing"] = script
    refused(chat(stack().port, "nothing"), 502, "upstream_malformed")


@test("HTML from an engine becomes an error object")
def _():
    for status, want in ((502, 502), (500, 502), (404, 404), (503, 503), (413, 413)):
        a = chat(stack().port, f"html-{status}")
        refused(a, want)
        assert b"html" not in a.body


@test("an engine that says nothing in time is a 504, and is asked once")
def _():
    with Stack(worker={"engine_first_byte_timeout": "2s"}) as s:
        a = chat(s.port, "silent-1", True)
        refused(a, 504, "upstream_timeout")
        assert a.header("x-should-retry") == "false"
        assert len(s.engine.of("silent-1")) == 1
        wait_for(lambda: s.engine.of("silent-1")[0].gone)


@test("an engine that falls silent in the middle of a stream breaks it")
def _():
    with Stack(worker={"engine_idle_timeout": "2s"}) as s:
        a = chat(s.port, "stalls-1", True)
        broken(a)
        wait_for(lambda: s.engine.of("stalls-1")[0].gone)


@test("an engine that is not there is a 502 or 503")
def _():
    with Stack(worker={"engine": "http://127.0.0.1:9"}) as s:
        for stream in (False, True):
            a = chat(s.port, "gpt-test", stream)
            assert a.status in (502, 503) and a.error["type"] == "server_error", a.body


@test("an engine that resets the connection is a 502, and is not asked a third time")
def _():
    s = stack()
    a = chat(s.port, "refuses-1")
    refused(a, 502)
    assert len(s.engine.of("refuses-1")) <= 2


@test("half a JSON, no HTTP, and a cut JSON are errors, never answers")
def _():
    for model in ("half-json", "not-http", "cut-json"):
        a = chat(stack().port, model)
        refused(a, 502)


@test("every event boundary at which an engine may die gives an error event and a broken end")
def _():
    s = stack()
    total = len(WORDS) + 2
    for n in range(1, total - 1):
        a = chat(s.port, f"cut-{n}", True)
        broken(a)
        assert len(a.events()) == n + 1, (n, a.events())


@test("dying inside an event gives the events before it, an error event and a broken end")
def _():
    s = stack()
    for n in (1, 4, len(WORDS)):
        for extra in (1, 5, 6, 30, 60):
            a = chat(s.port, f"cut-{n}-{extra}", True)
            broken(a)
            assert len(a.events()) == n + 1, (n, extra, a.events())


@test("dying before the first event gives an error")
def _():
    for model in ("cut-0", "cut-0-20"):
        a = chat(stack().port, model, True)
        if a.status == 200:
            broken(a)
        else:
            refused(a, 502)


@test("a stream that ends cleanly but too early is broken, not finished")
def _():
    for n in (1, 3, len(WORDS)):
        broken(chat(stack().port, f"early-{n}", True))


@test("a stream with a finish_reason but no [DONE] is finished, and gets its [DONE]")
def _():
    for model in ("no-done", "no-last-line"):
        a = chat(stack().port, model, True)
        assert a.complete and a.text() == TEXT and a.events()[-1] == "[DONE]", a.body


@test("events split at every byte come out whole and the same")
def _():
    a = chat(stack().port, "split", True)
    assert a.complete and a.text() == "".join(WORDS[:4] + WORDS[-3:])
    assert all(p.endswith(b"\n\n") for p in a.pieces)


@test("however the engine writes and cuts its stream, the bytes and the receipt's hash are the same", 240)
def _():
    want, seen = bytearray(law_stream("plain")), set()
    with stack().conn() as c:
        for writing in ("plain", "tight", "crlf", "crlf_tight"):
            for cut in range(len(law_stream(writing)) + 1):
                body = {"model": f"law-{writing}-{cut}", "stream": True, "messages": []}
                a = c.get("POST", "/v1/chat/completions", body)
                assert a.complete and air.without_comments(bytes(a.body)) == want, body["model"]
                seen.add(response_hash(a))
    assert seen == {air.digest(bytes(want))}


@test("glued, CRLF, unspaced, decorated, doubled and many-lined events come out the same")
def _():
    for model in ("glued", "crlf", "no-space", "decorated", "two-on-a-line", "multi-line"):
        a = chat(stack().port, model, True)
        assert a.complete and a.text() == TEXT, (model, a.body)
        body = a.body.decode()
        assert "\r" not in body and "\nid:" not in body and "retry:" not in body
        assert a.events()[-1] == "[DONE]" and body.endswith("data: [DONE]\n\n")


@test("what is no JSON never reaches the client: the stream is broken there")
def _():
    for n in (0, 1, 5):
        a = chat(stack().port, f"garbage-{n}", True)
        assert b"<html>" not in a.body
        if a.status == 200:
            broken(a)
        else:
            refused(a, 502)


@test("an error event of the engine is passed on once, and the stream broken")
def _():
    a = chat(stack().port, "error-event", True)
    broken(a)
    assert "out of memory" in a.events()[-1]
    assert len([e for e in a.events() if '"error":' in e]) == 1


@test("a client that leaves before the first token frees the engine")
def _():
    s = stack()
    for i, stream in enumerate((True, False)):
        with s.conn() as c:
            c.send(request_bytes("POST", "/v1/chat/completions",
                                 chat_body(f"silent-gone-{i}", stream), (), c.port))
            wait_for(lambda i=i: s.engine.of(f"silent-gone-{i}"))
        wait_for(lambda i=i: s.engine.of(f"silent-gone-{i}")[0].gone)
    wait_for(lambda: s.metric("sealgate_requests_in_flight") <= 1)


@test("a client that leaves in the middle frees the engine, which would go on for long")
def _():
    s = stack()
    for rude in (False, True):
        name = f"endless-gone-{rude}"
        c = s.conn()
        a = c.ask("POST", "/v1/chat/completions", chat_body(name, True))
        while len(a.events()) < 5:
            c.chunk(a)
        (c.reset if rude else c.close)()
        wait_for(lambda name=name: s.engine.of(name)[0].gone)


@test("a client that leaves right after the answer is no failure")
def _():
    s = stack()
    before = s.metric("sealgate_requests_total", status="499")
    c = s.conn()
    a = c.ask("POST", "/v1/chat/completions", chat_body("gpt-test", True))
    while b"[DONE]" not in a.body:
        c.chunk(a)
    c.close()
    assert s.http("GET", f"/v1/receipts/{a.header('x-receipt-id')}").status == 200
    wait_for(lambda: s.metric("sealgate_requests_in_flight") == 1)
    assert s.metric("sealgate_requests_total", status="499") == before
    s.check()
