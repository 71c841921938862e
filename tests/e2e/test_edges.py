"""Orders of events that are rare, and ends that could be mistaken for others"""
import asyncio
import json
import os
import socket
import subprocess
import threading
import time

from client import Broken, chat, chat_body, http, request_bytes, wait_for
from engine import SSE, WORDS, chat_events, chat_object, chunk_of, event
from proxy import Proxy
from stack import Options, Stack, run
from suite import Skip, test

TEXT = "".join(WORDS)


def rss_kib(program):
    with open(f"/proc/{program.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


@test("an engine's field that cannot be passed on costs nobody an answer")
def _():
    fields = [("openai-organization", ""), ("openai-project", "x" * 5000),
              *[(f"openai-n{i}", "y" * 500) for i in range(40)]]

    async def script(call):
        if call.streams:
            call.head(200, SSE + fields)
            for p in chat_events(call):
                call.put(p)
            call.end()
        else:
            call.whole(200, chat_object(call), more=fields)

    with Stack() as s:
        s.engine.scripts["odd"] = script
        a = chat(s.port, "odd", True)
        assert a.status == 200 and a.complete and a.text() == TEXT
        b = chat(s.port, "odd")
        assert b.status == 200 and b.json["choices"][0]["message"]["content"] == TEXT
        for x in (a, b):
            assert x.header("openai-organization") is None and x.header("openai-project") is None
            assert x.header("openai-n0") == "y" * 500


@test("an answer that comes before the request is complete is an answer")
def _():
    # The worker's last frame and the one that gives up the rest of the request come apart.
    with Stack(worker={"body_max": "1MiB"}, between=Proxy) as s:
        for size in (2 << 20, 6 << 20):
            s.proxies[0].apart = 0.1
            a = chat(s.port, "gpt-test", prompt="x" * size)
            assert a.status == 413 and a.error["code"] == "request_too_large"
            s.proxies[0].apart = 0
            assert chat(s.port, "gpt-test").status == 200
        assert [c.model for c in s.engine.calls] == ["gpt-test"] * 2


@test("an answer that is no stream stays one, however long it takes")
def _():
    async def slow_json(call):
        body = json.dumps(chat_object(call, "z" * (2 << 20))).encode()
        call.head(200, [("content-type", "application/json")], len(body))
        call.put(body[:100000])
        await call.drained()
        await asyncio.sleep(1)
        call.put(body[100000:])
        call.end()

    with Stack(gateway={"commit_after": "200ms"}) as s:
        s.engine.scripts["slow-json"] = slow_json
        a = chat(s.port, "slow-json", True)
        assert a.complete and a.header("content-type") == "application/json"
        assert a.json["choices"][0]["message"]["content"] == "z" * (2 << 20)


@test("an engine's error is JSON, whatever the engine calls it")
def _():
    async def error(call):
        call.head(400, SSE)
        call.put(b'{"error":{"message":"no","type":"t","param":null,"code":null}}')
        call.end()

    with Stack() as s:
        s.engine.scripts["wrong-type"] = error
        a = chat(s.port, "wrong-type", True)
        assert a.status == 400 and a.complete and a.error["message"] == "no"
        assert a.header("content-type") == "application/json"


@test("requests over the number of streams that a worker allows wait their turn")
def _():
    # One stream at a time: two that are let go together may reach the engine in any order.
    with Stack(worker={"streams_max": "1"}, gateway={"shards": "1"}) as s:
        answers = {}

        def ask(i):
            answers[i] = chat(s.port, f"words-10-20-{i}", True)

        with s.conn() as c:
            held = c.ask("POST", "/v1/chat/completions", chat_body("gate-turn", True))
            threads = []
            for i in range(8):
                threads.append(threading.Thread(target=ask, args=(i,)))
                threads[-1].start()
                # with the one that is held, and the page that tells
                wait_for(lambda: s.metric("sealgate_requests_in_flight") == i + 3)
            s.engine.release["turn"] = True
            assert c.rest(held).complete
        for t in threads:
            t.join()
        assert all(a.status == 200 and a.complete for a in answers.values())
        asked = [c.model for c in s.engine.calls if c.model.startswith("words")]
        assert asked == [f"words-10-20-{i}" for i in range(8)], asked


@test("a request that finds no room in time is told so")
def _():
    with Stack(worker={"streams_max": "1"}, gateway={"shards": "1", "worker_timeout": "2s"}) as s:
        with s.conn() as c:
            held = c.ask("POST", "/v1/chat/completions", chat_body("gate-room", True))
            a = chat(s.port, "gpt-test")
            assert a.status == 503 and a.error["code"] == "server_overloaded"
            s.engine.release["room"] = True
            assert c.rest(held).complete
        assert chat(s.port, "gpt-test").status == 200


@test("shards that end long before others hurt nobody")
def _():
    # The others go on looking at the worker, and tell all shards what they saw.
    with Stack(gateway={"shards": "4", "refresh": "1s"}) as s:
        with s.conn() as c:
            held = c.ask("POST", "/v1/chat/completions", chat_body("gate-last", True))
            s.gateway.signal(15)
            time.sleep(2.5)
            s.engine.release["last"] = True
            assert c.rest(held).complete
        assert s.gateway.wait() == 0
        assert "ERROR: " not in s.gateway.log, s.gateway.log[-3000:]
        s.gateway = None


@test("where the connection's end is the body's end, a broken answer ends with a reset")
def _():
    with Stack(gateway={"drain_timeout": "500ms", "shards": "1"}) as s:
        for how in ("cut-3", "endless-old"):
            with s.conn() as c:
                c.send(request_bytes("POST", "/v1/chat/completions", chat_body(how, True), (),
                                     s.port).replace(b" HTTP/1.1", b" HTTP/1.0", 1))
                a = c.head()
                if how == "endless-old":
                    s.gateway.signal(15)
                a = c.rest(a)
                assert not a.complete and a.broken.startswith("reset"), (how, a.broken)
        assert s.gateway.wait() == 0
        s.gateway = None


@test("200 readers that do not read make nobody's memory grow")
def _():
    async def firehose(call):
        call.head(200, SSE)
        one = event(chunk_of(call, {"content": "w" * 2000})) * 8
        while True:
            call.put(one)
            await call.drained()
            await asyncio.sleep(0)

    n = 200
    with Stack(gateway={"idle_timeout": "10m"}) as s:
        s.engine.scripts["firehose"] = firehose
        socks = []
        for _ in range(n):
            k = socket.socket()
            k.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            k.connect(("127.0.0.1", s.port))
            k.sendall(request_bytes("POST", "/v1/chat/completions", chat_body("firehose", True), (),
                                    s.port))
            socks.append(k)
        wait_for(lambda: len(s.engine.of("firehose")) == n)

        def written():
            return sum(c.written for c in s.engine.of("firehose"))

        last = [-1]

        def stands_still():
            before, last[0] = last[0], written()
            return before == last[0]
        wait_for(stands_still, every=0.5)
        per_stream = [(rss_kib(p), p.name) for p in (s.gateway, s.workers[0])]
        # A stream may hold two windows of 256 KiB and what rounding makes of that.
        limit = (64 + n * 1.5) * 1024 * (3 if Options.patience > 1 else 1)
        assert all(kib < limit for kib, _ in per_stream), per_stream
        # A reader that wakes up still gets all of it, and others are served meanwhile.
        assert chat(s.port, "gpt-test", True).complete
        before = written()
        for _ in range(4000):
            socks[0].recv(65536)
        wait_for(lambda: written() > before)
        for k in socks:
            k.close()
        wait_for(lambda: all(c.gone for c in s.engine.of("firehose")))


@test("a disk that is full withholds answers, and only as long as it is full")
def _():
    if os.geteuid() != 0:
        raise Skip("mounting a small disk takes root")
    with Stack(start_gateway=False) as s:
        disk = os.path.join(s.folder, "disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk],
                          capture_output=True, check=False).returncode != 0:
            raise Skip("a small disk cannot be mounted here")
        try:
            s.gateway_settings["receipts"] = "disk/receipts.db"
            s.start_gateway()
            s.wait_ready()
            assert chat(s.port, "gpt-test").status == 200
            with open(os.path.join(disk, "filler"), "wb", 0) as f:
                try:
                    while True:
                        f.write(b"\0" * 4096)
                except OSError:
                    pass
            refused = 0
            for i in range(40):
                a = chat(s.port, "gpt-test", i % 2 == 0)
                if a.status == 200 and a.complete:
                    assert i % 2 == 1 or a.events()[-1] == "[DONE]"
                    continue
                refused += 1
                if a.status == 200:
                    assert "[DONE]" not in a.events() and "receipt_failed" in a.events()[-1]
                else:
                    assert a.status == 502 and a.error["code"] == "receipt_failed"
                    assert a.header("x-should-retry") == "false"
            assert refused > 0
            wait_for(lambda: "is the disk full?" in s.gateway.log)
            os.unlink(os.path.join(disk, "filler"))
            wait_for(lambda: chat(s.port, "gpt-test").status == 200)
            a = chat(s.port, "gpt-test", True)
            assert a.complete and http(s.port, "GET", a.header("x-receipt-url")).status == 200
            s.gateway.stop()
        finally:
            subprocess.run(["umount", "-l", disk], check=False)


@test("the age of the oldest verdict in use is told, and starts anew with each look")
def _():
    with Stack(gateway={"refresh": "3s", "shards": "1"}) as s:
        name = "sealgate_attestation_age_seconds"
        wait_for(lambda: s.metric(name) >= 2)
        wait_for(lambda: s.metric(name) < 2)


@test("an engine that sends its askers elsewhere sends no client there")
def _():
    async def elsewhere(call):
        call.head(307, [("location", "http://127.0.0.1:1/v1/chat/completions")], 0)
        call.end()

    with Stack() as s:
        s.engine.scripts["elsewhere"] = elsewhere
        for stream in (False, True):
            a = chat(s.port, "elsewhere", stream)
            assert a.status == 502 and a.error["code"] == "upstream_malformed"
            assert a.header("location") is None


@test("a web page nobody named has no work done, whatever it may not read")
def _():
    with Stack(gateway={"cors_origins": "https://chat.example"}) as s:
        for origin in ("https://evil.example", "null", "http://localhost:3000"):
            a = chat(s.port, "gpt-test", headers=[("origin", origin), ("content-type", "text/plain")])
            assert a.status in (403, 415)
            # A blob without a type: a browser asks nobody before it sends this.
            a = http(s.port, "POST", "/v1/chat/completions", chat_body("gpt-test"),
                     [("origin", origin)])
            assert a.status == 403 and a.error["code"] == "origin_not_allowed"
        assert not s.engine.calls
        for origin in ("https://chat.example", "chrome-extension://abc"):
            assert chat(s.port, "gpt-test", headers=[("origin", origin)]).status == 200


@test("bodies that are held have a bound, and room is given back")
def _():
    with Stack(gateway={"shards": "1", "held_max": "1MiB", "body_max": "1MiB"}) as s:
        half = json.dumps(chat_body("gate-held", True, prompt="x" * 600000)).encode()
        with s.conn() as c:
            held = c.ask("POST", "/v1/chat/completions", half)
            a = http(s.port, "POST", "/v1/chat/completions", half)
            assert a.status == 503 and a.error["code"] == "server_overloaded"
            s.engine.release["held"] = True
            assert c.rest(held).complete
        for _ in range(4):
            assert http(s.port, "POST", "/v1/chat/completions", half).complete


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *t)
{
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, t);
    FILE *f = id == CLOCK_REALTIME ? fopen(getenv("SHIFT"), "r") : NULL;
    long by = 0;
    if (f != NULL) {
        if (fscanf(f, "%ld", &by) != 1)
            by = 0;
        fclose(f);
    }
    t->tv_sec += by;
    return result;
}
"""


@test("after a sleep of hours the first request is served, with keys that were asked for anew")
def _():
    # Steady clocks stand still while a machine sleeps; the wall clock does not.
    with Stack(start_gateway=False) as s:
        library = os.path.join(s.folder, "clock.so")
        built = subprocess.run(["cc", "-shared", "-fPIC", "-o", library,
                                s.write("clock.c", CLOCK), "-ldl"], capture_output=True, check=False)
        if built.returncode != 0 or Options.patience > 1:
            raise Skip("a library for shifting the clock cannot be used here")
        s.write("shift", "0")
        env = {"LD_PRELOAD": library, "SHIFT": os.path.join(s.folder, "shift")}
        s.env = env
        s.workers[0].stop()
        s.workers[0] = s.start_worker(0)
        os.environ.update(env)
        try:
            s.start_gateway()
        finally:
            for name in env:
                del os.environ[name]
        s.wait_ready()
        assert chat(s.port, "gpt-test").status == 200
        looks = s.metric("sealgate_workers_trusted")
        for hours in (2, 8):
            s.write("shift", str(hours * 3600))
            a = chat(s.port, "gpt-test", True)
            assert a.status == 200 and a.complete, a.body
        assert looks == 1 and "worker refused" not in s.gateway.log


@test("a receipt with another worker's evidence beside it is refused, also without a policy")
def _():
    views = []
    for _ in range(2):
        with Stack() as s:
            a = chat(s.port, "gpt-test")
            views.append(http(s.port, "GET", a.header("x-receipt-url")).json)
            if len(views) == 1:
                continue
            path = s.write("view.json", json.dumps(views[1]))
            assert run("sealgate", "verify", path)[0] == 0
            views[1]["evidence"] = views[0]["evidence"]
            status, said = run("sealgate", "verify", s.write("view.json", json.dumps(views[1])))
            assert status == 1 and "REFUSED" in said, (status, said)


@test("a client that closes its connection with [DONE] in hand has left nothing unfinished")
def _():
    with Stack(gateway={"shards": "1"}) as s:
        for _ in range(20):
            c = s.conn()
            a = c.ask("POST", "/v1/chat/completions", chat_body("gpt-test", True))
            try:
                while b"data: [DONE]\n\n" not in c.chunk(a):
                    pass
            except Broken:
                raise AssertionError("closed before [DONE]") from None
            c.reset()
        wait_for(lambda: s.metric("sealgate_requests_in_flight") <= 1)
        assert s.metric("sealgate_requests_total", status="2xx", route="chat_completions") == 20
