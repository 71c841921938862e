"""What users of other gateways complain about, where no other test has it

openapi/README.md has the whole list by number, and the test of each.
"""
import asyncio
import pathlib
import re
import shutil
import subprocess
import time

import common
from client import chat, chat_body, hangs_s, http, wait_for
from common import check
from engine import SSE, USAGE, chat_events, chunk_of, event, say
from stack import free_port
from suite import Skip, test

ROOT = pathlib.Path(__file__).resolve().parents[2]


def stack():
    return common.shared("complaints", gateway={"keepalive": "200ms"})


def finish():
    common.finish("complaints")


def streamed(name, pieces):
    """A stream of exactly these events, asked of an engine that sends them so."""
    async def script(call):
        await say(call, [event(p) for p in pieces(call)] + [b"data: [DONE]\n\n"])
    stack().engine.scripts[name] = script
    body = chat_body(name, True)
    a = stack().http("POST", "/v1/chat/completions", body)
    assert a.complete, a.body
    check(stack(), body, a)
    return a


@test("5.2 usage that is null, or stands on other chunks, passes as it came")
def _():
    def pieces(call):
        return [chunk_of(call, {"role": "assistant", "content": "a"}, usage=None),
                chunk_of(call, {"content": "b"}, usage={"prompt_tokens": 7}),
                chunk_of(call, {}, "stop", usage=USAGE)]
    got = streamed("usage-elsewhere", pieces).chunks()
    assert [c["usage"] for c in got] == [None, {"prompt_tokens": 7}, USAGE]


@test("5.3 tool deltas that are wrong are not made worse: they pass byte for byte")
def _():
    function = {"name": "f", "arguments": "{\"a\":\"\\u00fc\\\""}
    wrong = [[{"id": "x", "type": "function", "function": function}],
             [{"index": 1, "id": "y", "type": "function", "function": function}],
             [{"index": 0, "function": {"arguments": "}"}}, {"index": 0, "id": "z", "function": {}}]]

    def pieces(call):
        return ([chunk_of(call, {"role": "assistant", "content": None})] +
                [chunk_of(call, {"tool_calls": w}) for w in wrong] + [chunk_of(call, {}, "tool_calls")])
    got = streamed("wrong-deltas", pieces).chunks()
    assert [c["choices"][0]["delta"]["tool_calls"] for c in got[1:-1]] == wrong


async def pauses(call):
    """Says one event, and the others after so long that a proxy would have given up, or when it is told to."""
    pieces, name = chat_events(call), call.json["until"]
    call.head(200, SSE)
    call.put(pieces[0])
    until = time.monotonic() + call.json["pause_s"]
    while name not in call.protocol.engine.release and time.monotonic() < until:
        await asyncio.sleep(0.01)
    call.put(b"".join(pieces[1:]))
    call.end()


@test("5.9 silence in the middle of a stream is broken by comments too")
def _():
    s = stack()
    s.engine.scripts["pauses"] = pauses
    body = chat_body("pauses", True, pause_s=hangs_s(), until="heard")
    with s.conn() as c:
        a = c.ask("POST", "/v1/chat/completions", body)
        while a.body.count(b": keep-alive\n\n") < 2:
            assert c.chunk(a)
        s.engine.release["heard"] = True
        assert c.rest(a).complete, a.body
    check(s, body, a)


@test("5.9 a stream that is silent for longer than a proxy waits stays up behind nginx")
def _():
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not pathlib.Path(nginx).exists():
        raise Skip("nginx is not installed")
    s, port = stack(), free_port()
    conf = s.write("nginx.conf", f"""
daemon off; master_process off; pid nginx.pid; error_log nginx-error.log;
events {{}}
http {{
  access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
  uwsgi_temp_path t4; scgi_temp_path t5; proxy_read_timeout 5s;
  server {{ listen 127.0.0.1:{port}; location / {{
    proxy_pass http://127.0.0.1:{s.port}; proxy_http_version 1.1; proxy_set_header Host localhost; }} }}
}}""")
    proxy = subprocess.Popen([nginx, "-p", s.folder, "-c", conf], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: up(port))
        s.engine.scripts["pauses"] = pauses
        body = chat_body("pauses", True, pause_s=11, until="never")
        a = http(port, "POST", "/v1/chat/completions", body)
        assert a.complete and a.events()[-1] == "[DONE]", a.body
        check(s, body, a)
    finally:
        proxy.terminate()
        proxy.wait(20)


def up(port):
    try:
        return http(port, "GET", "/healthz").status == 200
    except OSError:
        return False


@test("5.11 embeddings of a hundred megabytes come whole", 240)
def _():
    async def script(call):
        call.head(200, [("content-type", "application/json")])
        call.put(b'{"object":"list","model":"m","data":[')
        for i in range(100):
            call.put(b'%s{"object":"embedding","index":%d,"embedding":"%s"}' %
                     (b"," if i else b"", i, b"x" * (1 << 20)))
            await call.drained()
        call.put(b'],"usage":{"prompt_tokens":1,"total_tokens":1}}')
        call.end()
    stack().engine.scripts["vectors"] = script
    body = {"model": "vectors", "input": "x", "encoding_format": "base64"}
    a = stack().http("POST", "/v1/embeddings", body, timeout=200)
    assert a.complete and len(a.body) > 100 << 20 and len(a.json["data"]) == 100
    check(stack(), body, a)


@test("5.13 no line and no field that we add is longer than readers take")
def _():
    a = chat(stack().port, "gpt-test", True)
    assert all(len(line) < 8190 for line in a.body.split(b"\n")), "a line"
    assert all(len(k) + len(v) < 1024 for k, v in a.headers), "a field"
    assert sum(len(k) + len(v) + 4 for k, v in a.headers) < 3900, "the head"


@test("5.15 the engine is asked once for each request, whatever it answers")
def _():
    for name in ("err-400", "err-429", "err-500", "err-503", "html-502", "half-json", "cut-json",
                 "error-event", "cut-3", "early-4", "garbage-2"):
        for stream in (False, True):
            before = len(stack().engine.of(name))
            chat(stack().port, name, stream)
            assert len(stack().engine.of(name)) == before + 1, (name, stream)


@test("each complaint in openapi/README.md names tests that are there")
def _():
    text = (ROOT / "openapi/README.md").read_text()
    tests = "\n".join(p.read_text() for p in [*ROOT.glob("tests/e2e/*.py"), *ROOT.glob("tests/e2e/sdk/*"),
                                              *ROOT.glob("tests/unit/*/test_*.c")])
    plain = re.sub(r'"\n\s*"', "", tests)
    rows = re.findall(r"^\| 5\.(\d+) (.*)\|$", text, re.M)
    assert [int(n) for n, _ in rows] == list(range(1, 16)), "not the 15 of them"
    for n, row in rows:
        named = re.findall(r'"([^"]+)"', row)
        assert named, f"5.{n} names no test"
        for sentence in named:
            assert sentence in plain or sentence.replace(" ", "_") in plain, f"5.{n}: {sentence}"
