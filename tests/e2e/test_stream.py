"""Answers, streamed and not, as a plain HTTP client sees them"""
import asyncio
import base64
import contextlib
import json
import shutil
import struct
import subprocess

import common
from client import chat, chat_body, wait_for
from engine import SSE, USAGE, VECTOR, WORDS, chat_events, chunk_of, error, event, say
from stack import Stack
from suite import Skip, test

TEXT = "".join(WORDS)


def stack():
    return common.shared("stream")


def finish():
    common.finish("stream")


@test("a stream has its events, the receipt comment right before [DONE], and a trailer")
def _():
    a = chat(stack().port, "gpt-test", True)
    assert a.status == 200 and a.complete, vars(a)
    assert a.header("content-type") == "text/event-stream; charset=utf-8"
    assert "no-cache" in a.header("cache-control") and a.header("x-accel-buffering") == "no"
    assert a.text() == TEXT, a.body
    blocks = a.body.decode().split("\n\n")
    assert blocks[-1] == "" and blocks[-2] == "data: [DONE]"
    comments = [b for b in blocks if b.startswith(":")]
    assert len(comments) == 1 and comments[0].startswith(": receipt ")
    assert blocks[-3] == comments[0]
    assert a.trailers == [("x-receipt", comments[0].split(" ")[2])], a.trailers
    assert not any(l.startswith(("id:", "retry:", "event:", ":~")) for l in a.body.decode().split("\n"))


@test("[DONE] is in the last chunk, and nothing follows")
def _():
    a = chat(stack().port, "gpt-test", True)
    assert a.pieces[-1].endswith(b"data: [DONE]\n\n")


@test("tokens come one by one, while the engine is still speaking")
def _():
    s = stack()
    with s.conn() as c:
        a = c.ask("POST", "/v1/chat/completions", chat_body("gate-one-by-one", True))
        while len(a.events()) < 3:
            assert c.chunk(a)
        assert s.engine.of("gate-one-by-one")[0].ended is None
        s.engine.release["one-by-one"] = True
        c.rest(a)
    assert a.complete and a.text() == TEXT


@test("each event is whole in its chunk, and most have one of their own")
def _():
    a = chat(stack().port, "words-40-10", True)
    assert all(p.endswith(b"\n\n") for p in a.pieces)
    assert len(a.pieces) >= 20, len(a.pieces)


@test("curl -N sees the same stream")
def _():
    if shutil.which("curl") is None:
        raise Skip("curl is not installed")
    done = subprocess.run(["curl", "-sSN", "--max-time", "30", "-H", "content-type: application/json",
                           "-d", json.dumps(chat_body("gpt-test", True)), "-D", "-",
                           f"http://127.0.0.1:{stack().port}/v1/chat/completions"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr
    out = done.stdout.decode()
    assert "x-receipt-id: " in out.lower() and ": receipt " in out
    assert "data: [DONE]\n\n" in out


@test("an answer that is no stream is byte for byte the engine's")
def _():
    s = stack()
    a = chat(s.port, "gpt-test")
    assert a.status == 200 and a.complete and a.header("content-type") == "application/json"
    assert a.header("content-length") == str(len(a.body))
    assert a.json["choices"][0]["message"]["content"] == TEXT
    assert len(a.header("x-receipt-id")) == 32
    assert a.header("x-receipt-url") == f"/v1/receipts/{a.header('x-receipt-id')}"
    assert a.header("x-request-id").startswith("req_")


@test("the engine gets the body byte for byte, unknown fields and spaces too")
def _():
    s = stack()
    body = (b'{ "model" : "echo",  "top_k":40, "chat_template_kwargs":{"a":[1,2,{"b":null}]},\n'
            b'"messages":[{"role":"user","content":"\\u00fc \xf0\x9f\x99\x82"}] }')
    a = s.http("POST", "/v1/chat/completions", body)
    assert a.status == 200, a.body
    assert s.engine.of("echo")[-1].body == body


@test("the client's credentials go on to the engine; hop-by-hop fields and cookies do not")
def _():
    s = stack()
    chat(s.port, "echo", headers=[("authorization", "Bearer sk-client"), ("connection", "x-drop"),
                                  ("x-drop", "1"), ("openai-beta", "assistants=v2")])
    got = s.engine.of("echo")[-1].headers
    assert got.get("authorization") == "Bearer sk-client", got
    assert "x-drop" not in got, got


@test("a usage chunk comes exactly when it was asked for")
def _():
    s = stack()
    with_usage = chat(s.port, "gpt-test", True, stream_options={"include_usage": True}).chunks()
    assert [c for c in with_usage if c.get("usage")] == [with_usage[-1]]
    assert with_usage[-1]["choices"] == [] and with_usage[-1]["usage"] == USAGE
    without = chat(s.port, "gpt-test", True).chunks()
    assert all(c["choices"] for c in without)


@test("legacy completions stream and answer")
def _():
    s = stack()
    a = s.http("POST", "/v1/completions", {"model": "gpt-test", "prompt": "x"})
    assert a.json["choices"][0]["text"] == TEXT
    a = s.http("POST", "/v1/completions", {"model": "gpt-test", "prompt": "x", "stream": True})
    assert a.complete and a.events()[-1] == "[DONE]"
    assert "".join(c["choices"][0]["text"] for c in a.chunks()) == TEXT


@test("tool calls are passed on untouched")
def _():
    a = chat(stack().port, "tools")
    calls = a.json["choices"][0]["message"]["tool_calls"]
    assert [c["function"]["name"] for c in calls] == ["weather", "time"]
    a = chat(stack().port, "tools", True)
    parts = [t for c in a.chunks() for t in c["choices"][0]["delta"].get("tool_calls", [])]
    arguments = "".join(p["function"].get("arguments", "") for p in parts if p["index"] == 0)
    assert json.loads(arguments) == {"city": "Zürich", "days": 3}


@test("several choices come back")
def _():
    assert len(chat(stack().port, "gpt-test", n=3).json["choices"]) == 3


@test("embeddings are answered as base64 and as numbers")
def _():
    s = stack()
    a = s.http("POST", "/v1/embeddings", {"model": "emb", "input": ["a", "b"],
                                         "encoding_format": "base64"})
    raw = base64.b64decode(a.json["data"][1]["embedding"])
    assert struct.unpack("<4f", raw) == struct.unpack("<4f", struct.pack("<4f", *VECTOR))
    a = s.http("POST", "/v1/embeddings", {"model": "emb", "input": "a"})
    assert a.json["data"][0]["embedding"] == VECTOR and a.header("x-receipt-id")


@test("models are listed, and found with slashes in their names, encoded or not")
def _():
    s = stack()
    assert len(s.http("GET", "/v1/models").json["data"]) == 3
    for path in ("org/model-with-slash", "org%2Fmodel-with-slash", "org/deep/er"):
        a = s.http("GET", f"/v1/models/{path}")
        assert a.status == 200 and a.json["object"] == "model", (path, a.body)
    a = s.http("GET", "/v1/models/none")
    assert a.status == 404 and a.error["code"] == "model_not_found"


@test("doubled and trailing slashes are forgiven")
def _():
    s = stack()
    assert s.http("GET", "/v1//models/").status == 200
    a = s.http("POST", "//v1/chat/completions/", chat_body("gpt-test"))
    assert a.status == 200, a.body


@test("other paths under /v1 pass through when the engine has them, else 404 as JSON")
def _():
    s = stack()
    a = s.http("POST", "/v1/rerank", {"model": "x", "query": "q"})
    assert a.status == 200 and a.json["seen"]["query"] == "q" and a.header("x-receipt-id")
    a = s.http("POST", "/v1/nothing", {"model": "x"})
    assert a.status == 404 and a.error["code"] == "unknown_url", a.body
    a = s.http("GET", "/elsewhere")
    assert a.status == 404 and a.error["code"] == "unknown_url"


@test("a wrong method is 405 with Allow")
def _():
    a = stack().http("PUT", "/v1/models")
    assert a.status == 405 and "GET" in a.header("allow") and a.error["code"] == "method_not_supported"


@test("HEAD is answered without a body")
def _():
    a = stack().http("HEAD", "/v1/models")
    assert a.status == 200 and a.body == b""


@test("many requests go over one connection")
def _():
    with stack().conn() as c:
        ids = set()
        for i in range(20):
            a = c.get("POST", "/v1/chat/completions", chat_body("gpt-test", i % 2 == 0))
            assert a.status == 200 and a.complete
            ids.add(a.header("x-request-id"))
        assert len(ids) == 20


@test("pipelined requests are answered in order")
def _():
    from client import request_bytes
    with stack().conn() as c:
        one = request_bytes("POST", "/v1/chat/completions", chat_body("gpt-test"), (), c.port)
        two = request_bytes("GET", "/v1/models", None, (), c.port)
        c.send(one + two)
        a = c.rest(c.head())
        b = c.rest(c.head())
        assert "choices" in a.json and "data" in b.json


@contextlib.contextmanager
def impatient():
    """A gateway that soon says something itself, and an engine that says nothing until it may."""
    with Stack(gateway={"keepalive": "100ms", "commit_after": "100ms"}) as s:
        async def late(call):
            while "late" not in s.engine.release:
                await asyncio.sleep(0.01)
            if call.model == "late":
                await say(call, chat_events(call))
            else:
                error(call, 400, "too long", "context_length_exceeded")
        s.engine.scripts.update({"late": late, "late-error": late})
        yield s


@test("silence in a stream is broken by comments, which leave the receipt valid")
def _():
    with impatient() as s, s.conn() as c:
        a = c.ask("POST", "/v1/chat/completions", chat_body("late", True))
        while b": keep-alive\n\n" not in a.body:
            assert c.chunk(a)
        s.engine.release["late"] = True
        c.rest(a)
        assert a.complete and a.text() == TEXT, a.body


@test("after the early 200 an engine's refusal comes as an error event and a broken end")
def _():
    with impatient() as s, s.conn() as c:
        a = c.ask("POST", "/v1/chat/completions", chat_body("late-error", True))
        s.engine.release["late"] = True
        c.rest(a)
        assert a.status == 200 and not a.complete, a.body
        assert '"error"' in a.events()[-1] and "[DONE]" not in a.body.decode()


@test("a large answer comes whole, streamed and not")
def _():
    s = stack()
    a = chat(s.port, "big-3000")
    assert a.complete and len(a.json["choices"][0]["message"]["content"]) == 3000 * 1024
    a = chat(s.port, "big-3008", True)
    assert a.complete and len(a.text()) == 3008 * 1024


@test("a slow reader slows the engine down instead of filling memory")
def _():
    s = stack()

    async def flood(call):
        call.head(200, SSE)
        piece = event(chunk_of(call, {"content": "y" * 16000}))
        for _ in range(4000):
            call.put(piece)
            await call.drained()
        call.put(b"data: [DONE]\n\n")
        call.end()
    s.engine.scripts["flood"] = flood
    with s.conn() as c:
        a = c.ask("POST", "/v1/chat/completions", chat_body("flood", True))
        call, last = s.engine.of("flood")[0], [-1]

        def stands_still():
            before, last[0] = last[0], call.written
            return before == last[0] and not call.protocol.may_write.is_set()
        wait_for(stands_still, every=0.7)
        assert 0 < last[0] < 60_000_000, last
        c.rest(a)
        assert a.complete and a.events()[-1] == "[DONE]"
    wait_for(lambda: s.engine.of("flood")[0].ended)


@test("a nonce of the client's choice is in the receipt")
def _():
    import air
    s = stack()
    nonce = base64.urlsafe_b64encode(b"0123456789abcdef").decode().rstrip("=")
    a = chat(s.port, "gpt-test", headers=[("x-receipt-nonce", nonce)])
    r = s.http("GET", a.header("x-receipt-url")).json
    claims = air.verify(base64.b64decode(r["receipt"]), bytes.fromhex(r["signing_key"]))
    assert claims["eat_nonce"] == b"0123456789abcdef"
