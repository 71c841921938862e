"""Workers that are absent, refused, dying, or changing their keys"""
import concurrent.futures
import os
import signal
import socket
import tempfile
import threading
import time


from client import Conn, PROMPT_CANARY, chat, chat_body, hangs_s, wait_for
from engine import WORDS, Engine, stepwise
from proxy import Cut, DATA, END_STREAM, HEADERS, PREFACE, RST, Proxy, frames_of
from stack import Options, Stack
from suite import Skip, test
from test_engines import broken

TEXT = "".join(WORDS)
OTHER = "ab" * 48


# A worker that is probed has a connection to its engine, as one at work has: see knows().
UNASKED = {"worker_probe": "0"}


def no_worker(a):
    assert a.status == 503 and a.error["code"] == "no_attested_worker", (a.status, a.body)
    assert a.error["type"] == "service_unavailable_error"
    assert 1 <= int(a.header("retry-after")) <= 60


def nothing_asked(s):
    assert not s.engine.calls, [c.path for c in s.engine.calls]


@test("without a worker the answer is 503 no_attested_worker, and /readyz says so")
def _():
    with Stack(ready=False, gateway={"worker_timeout": "300ms"}) as s:
        s.workers[0].kill()
        s.workers = []
        s.gateway.stop()
        s.start_gateway()
        for stream in (False, True):
            no_worker(chat(s.port, "gpt-test", stream))
        assert s.http("GET", "/readyz").status == 503
        assert s.http("GET", "/healthz").status == 200


@test("/readyz says when the worker's connection is gone, and when it is back")
def _():
    with Stack() as s:
        s.workers[0].kill()
        wait_for(lambda: s.http("GET", "/readyz").status == 503)
        assert s.http("GET", "/healthz").status == 200
        s.workers[0] = s.start_worker(0)
        s.wait_ready()
        assert chat(s.port, "gpt-test").status == 200


@test("a worker that comes later is found")
def _():
    with Stack(ready=False, gateway={"worker_timeout": "300ms"}) as s:
        s.workers[0].kill()
        s.gateway.stop()
        s.start_gateway()
        no_worker(chat(s.port, "gpt-test"))
        s.workers[0] = s.start_worker(0)
        s.wait_ready()
        assert chat(s.port, "gpt-test").status == 200


@test("requests wait a while for a worker that is just starting")
def _():
    with Stack(ready=False, gateway={"worker_timeout": "20s"}) as s:
        s.workers[0].kill()
        s.gateway.stop()
        s.start_gateway()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answer = pool.submit(chat, s.port, "gpt-test", True)
            wait_for(lambda: s.metric("sealgate_requests_in_flight") == 2)  # with the page that tells
            s.workers[0] = s.start_worker(0)
            assert answer.result().status == 200 and answer.result().complete


def refused_by(policy, **worker):
    with Stack(ready=False, start_gateway=False, worker=worker) as s:
        s.gateway_settings["policy"] = s.write("policy.yaml", policy)
        s.gateway_settings["worker_timeout"] = "500ms"
        s.start_gateway()
        for stream in (False, True):
            no_worker(chat(s.port, "gpt-test", stream))
        assert s.http("GET", "/readyz").status == 503
        nothing_asked(s)
        return s.http("GET", "/v1/attestation").json


@test("a policy that does not name simulated refuses a simulated worker; nothing is sent to it")
def _():
    try:
        refused_by(f"platforms: [tdx]\nmeasurements:\n  mrtd: [{OTHER}]\n")
    except AssertionError as why:
        # A gateway that cannot verify the platform at all does not start with such a policy.
        assert "cannot verify that platform" in str(why), why


@test("a worker with the wrong measurement is refused; nothing is sent to it")
def _():
    refused_by(f"platforms: [simulated]\nmeasurements:\n  pcr0: [{OTHER}]\n")


@test("a worker of another name than the policy's is refused")
def _():
    refused_by("platforms: [simulated]\nmeasurements: any\nworker_names: [other]\n")


@test("a worker with older software than the policy wants is refused")
def _():
    refused_by("platforms: [simulated]\nmeasurements: any\nminimum_software: 999.0\n")


@test("the right measurement is accepted, and only that image")
def _():
    with Stack() as s:
        page = s.http("GET", "/v1/attestation")
        assert page.status == 200
        import base64
        import air
        r = s.http("GET", f"/v1/receipts/{chat(s.port, 'gpt-test').header('x-receipt-id')}").json
        claims = air.verify(base64.b64decode(r["receipt"]), bytes.fromhex(r["signing_key"]))
        pcr0 = claims["enclave_measurements"]["pcr0"].hex()
        s.gateway.stop()
        s.gateway_settings["policy"] = s.write(
            "policy.yaml", f"platforms: [simulated]\nmeasurements:\n  pcr0: [{pcr0}]\n")
        s.gateway_settings["worker_timeout"] = "500ms"
        s.start_gateway()
        s.wait_all_ready()
        assert chat(s.port, "gpt-test").status == 200
        s.workers[0].stop()
        s.workers[0] = s.start_worker(0, image="another-image")
        before = len(s.engine.calls)
        no_worker(wait_for(lambda: (lambda a: a if a.status == 503 and
                                    a.error["code"] == "no_attested_worker" else None)(
                                        chat(s.port, "gpt-test"))))
        assert len(s.engine.calls) == before


@test("without a policy the gateway does not start, and says why")
def _():
    from stack import run
    status, out = run("sealgate-gateway", "--listen=127.0.0.1:0", "--receipts=:memory:")
    assert status != 0 and "policy" in out, out


@test("a worker that dies before the first byte may have asked the engine: an error, and no resend")
def _():
    with Stack(workers=2, gateway=UNASKED) as s:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answer = pool.submit(chat, s.port, "silent-dies", True)
            wait_for(lambda: s.engine.of("silent-dies"))
            busy = [w for w in s.workers if knows(s, w)]
            busy[0].kill()
            a = answer.result()
        assert a.status == 502 and a.error["code"] == "upstream_broken", (a.status, a.body)
        assert a.header("x-should-retry") == "false", a.headers
        assert len(s.engine.of("silent-dies")) == 1
        s.workers = [w for w in s.workers if w is not busy[0]]
        assert chat(s.port, "gpt-test").status == 200


def knows(s, worker):
    """True when that worker has a connection to the engine."""
    del s
    try:
        links = subprocess_ss(worker.pid)
    except OSError:
        return False
    return links


def subprocess_ss(pid):
    """Whether a process has an established TCP connection that it opened to an engine's port."""
    import os
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    for line in open(f"/proc/{pid}/net/tcp", encoding="ascii").read().splitlines()[1:]:
        f = line.split()
        remote = int(f[2].split(":")[1], 16)
        if f[9] in inodes and f[3] == "01" and remote in ENGINE_PORTS:
            return True
    return False


ENGINE_PORTS = set()
_init = Engine.__init__


def _remember(self):
    _init(self)
    ENGINE_PORTS.add(self.port)


Engine.__init__ = _remember


@test("when all workers die before the first byte the answer is an error, after one question")
def _():
    with Stack(workers=2, gateway={"worker_timeout": "500ms"}) as s:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answer = pool.submit(chat, s.port, "silent-all-die", True)
            wait_for(lambda: s.engine.of("silent-all-die"))
            for w in s.workers:
                w.kill()
            a = answer.result()
        s.workers = []
        assert a.status == 502 and a.error["code"], (a.status, a.body)
        assert len(s.engine.of("silent-all-die")) == 1


@test("a worker that is killed in the middle gives an error event and a broken end, and no resend")
def _():
    with Stack(workers=2, gateway=UNASKED) as s:
        with s.conn() as c:
            a = c.ask("POST", "/v1/chat/completions", chat_body("endless-killed", True))
            while len(a.events()) < 5:
                c.chunk(a)
            busy = [w for w in s.workers if knows(s, w)]
            busy[0].kill()
            c.rest(a)
        broken(a)
        assert len(s.engine.of("endless-killed")) == 1
        s.workers = [w for w in s.workers if w is not busy[0]]
        assert chat(s.port, "gpt-test").status == 200


def through_proxy(**more):
    return Stack(between=Proxy, **more)


@test("a connection to the worker that is cut at every event boundary never looks finished")
def _():
    for first in (1, 4, 7):
        for slow in (False, True):
            cut_at(range(first, first + 3), slow)


def cut_at(places, slow):
    """A stack of its own for few cuts, since a gateway waits longer after each."""
    with through_proxy() as s:
        for n in places:
            state = {"cut": 0, "seen": 0}
            s.engine.scripts["stepwise"] = stepwise(state)

            def hook(link, frame, k, n=n, state=state):
                state["seen"] += 1
                if k == n and not state["cut"]:
                    state["cut"] = 1
                    raise Cut()
                return frame
            s.proxies[0].on_answer, s.proxies[0].slow_cut = hook, slow
            a = chat(s.port, "stepwise", True)
            if state["cut"]:
                broken(a)
                assert "".join(f"w{i} " for i in range(6)).startswith(a.text()), a.text()
            else:
                assert n > 8 and a.complete, n  # so many pieces were not needed this time
        s.proxies[0].on_answer = None
        wait_for(lambda: chat(s.port, "gpt-test").status == 200)


@test("a connection to the worker that is cut inside an event never looks finished")
def _():
    with through_proxy() as s:
        proxy = s.proxies[0]
        for n in (1, 4):
            for part in (1, 9, 40, 300):
                state = {"cut": 0, "seen": 0}
                s.engine.scripts["stepwise"] = stepwise(state)

                def hook(link, frame, k, n=n, part=part, state=state):
                    state["seen"] += 1
                    if k == n and not state["cut"]:
                        state["cut"] = 1
                        raise Cut(frame.bytes()[:part])
                    return frame
                proxy.on_answer = hook
                a = chat(s.port, "stepwise", True)
                assert state["cut"]
                broken(a)
        proxy.on_answer = None
        wait_for(lambda: chat(s.port, "gpt-test").status == 200)


@test("a connection that is cut before the first byte of an answer is an error, and no resend")
def _():
    with through_proxy() as s:
        state = {"cut": 0}

        def hook(link, frame, k):
            state["cut"] += 1
            raise Cut()
        s.proxies[0].on_answer = hook
        a = chat(s.port, "plain-cut", True)
        assert state["cut"] == 1 and a.status == 502, (state, a.status, a.body)
        assert a.error["code"] == "upstream_broken" and len(s.engine.of("plain-cut")) == 1


@test("a connection that is cut before the end of a request was sent is made up for by one resend")
def _():
    with through_proxy() as s:
        cuts = []

        def hook(link, frame):
            if frame.kind == DATA and not cuts:
                cuts.append(frame)
                raise Cut()
        s.proxies[0].on_request = hook
        a = chat(s.port, "plain-resent", True, prompt="x" * 2000000)
        assert cuts and a.status == 200 and a.complete and a.text() == TEXT, (a.status, a.body)
        assert len(s.engine.of("plain-resent")) == 1
        assert s.metric("sealgate_requests_resent_total") == 1


@test("a request that is cut before its end was sent goes elsewhere, three times and no more")
def _():
    with through_proxy(workers=3) as s:
        cuts, most = [], 3

        def hook(link, frame):
            if len(frame.payload) > 4000 and len(cuts) < most:  # not what the gateway asks by itself
                cuts.append(frame)
                raise Cut()
        for p in s.proxies:
            p.on_request = hook
        a = chat(s.port, "plain-three", True, prompt="x" * 2000000)
        assert len(cuts) == 3 and a.status == 200 and a.complete, (len(cuts), a.status, a.body)
        assert len(s.engine.of("plain-three")) == 1
        cuts.clear()
        most = 1000
        a = chat(s.port, "plain-four", True, prompt="x" * 2000000)
        assert len(cuts) == 4 and a.status == 502, (len(cuts), a.status, a.body)
        assert not s.engine.of("plain-four")


@test("a thousand requests get their answers while keys change every second")
def _():
    life = 2 if Options.patience == 1 else 4
    with Stack(worker={"key_life": f"{life}s", "key_ahead": f"{life // 2}s",
                       "key_grace": f"{life + 1}s", "log_level": "debug"}) as s:
        failures, done, lock = [], [0], threading.Lock()
        end = time.monotonic() + 4 * life

        def client(k):
            with Conn(s.port) as c:
                i = 0
                while i < 125 or time.monotonic() < end:
                    i += 1
                    a = c.get("POST", "/v1/chat/completions", chat_body("gpt-test", (i + k) % 4 == 0))
                    with lock:
                        done[0] += 1
                        if a.status != 200 or not a.complete:
                            failures.append((a.status, bytes(a.body[-200:])))
                    time.sleep(0.04)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for f in [pool.submit(client, k) for k in range(8)]:
                f.result()
        assert done[0] >= 1000
        assert not failures, (len(failures), done, failures[:3])


@test("a request held up while its key was replaced is still answered")
def _():
    life = 2 if Options.patience == 1 else 4
    with Stack(worker={"key_life": f"{life}s", "key_ahead": f"{life // 2}s",
                       "key_grace": f"{life + 1}s"}) as s:
        with s.conn() as c:
            a = c.ask("POST", "/v1/chat/completions", chat_body("gate-rotation", True))
            time.sleep(3 * life)
            s.engine.release["rotation"] = True
            c.rest(a)
        assert a.complete and a.text() == TEXT


@test("a gateway whose clock is set, and set right again, verifies its workers anew at once")
def _():
    from chaos_fleet import FAKETIME
    if not os.path.exists(FAKETIME):
        raise Skip("needs libfaketime (Debian: faketime)")
    with tempfile.NamedTemporaryFile("w", suffix=".clock") as clock:
        def set_clock(text):
            clock.seek(0)
            clock.write(text + "\n")
            clock.flush()
        set_clock("+0")
        env = {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": clock.name,
               "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": "1"}
        with Stack(gateway_env=env) as s:
            def trusted():
                return s.http("GET", "/v1/attestation").json["data"][0]["trusted"]
            # A look that was due anyway may find out before the clock is looked at.
            for n, (text, good) in enumerate([("+2h", False), ("+0", True)]):
                set_clock(text)
                wait_for(lambda: trusted() == good and s.gateway.log.count("the clock was set") == n + 1)
            assert chat(s.port, "gpt-test").status == 200


@test("a worker that was replaced by another process is verified anew, and used")
def _():
    with Stack() as s:
        first = chat(s.port, "gpt-test")
        assert first.status == 200
        s.workers[0].kill()
        s.workers[0] = s.start_worker(0)
        a = wait_for(lambda: (lambda a: a if a.status == 200 else None)(chat(s.port, "gpt-test")))
        one = s.http("GET", first.header("x-receipt-url")).json
        two = s.http("GET", a.header("x-receipt-url")).json
        assert one["signing_key"] != two["signing_key"]
        assert one["evidence_sha256"] != two["evidence_sha256"]


@test("a worker that drains finishes its streams, and the other takes new requests")
def _():
    with Stack(workers=2, gateway=UNASKED) as s:
        with s.conn() as c:
            a = c.ask("POST", "/v1/chat/completions", chat_body("gate-drain", True))
            busy = wait_for(lambda: [w for w in s.workers if knows(s, w)])[0]
            busy.signal(signal.SIGTERM)
            wait_for(lambda: "draining" in busy.log)
            for _ in range(5):
                assert chat(s.port, "gpt-test").status == 200
            s.engine.release["drain"] = True
            c.rest(a)
        assert a.complete and a.text() == TEXT
        assert busy.wait() == 0
        s.workers.remove(busy)


@test("a stream at a worker that drains for longer than its keys live runs to its end")
def _():
    life = 2 if Options.patience == 1 else 4
    with Stack(worker={"key_life": f"{life}s", "key_ahead": f"{life // 2}s",
                       "key_grace": f"{life + 1}s", "drain_timeout": "60s"}) as s:
        with s.conn() as c:
            a = c.ask("POST", "/v1/chat/completions", chat_body("gate-long-drain", True))
            s.workers[0].signal(signal.SIGTERM)
            wait_for(lambda: not s.http("GET", "/v1/attestation").json["data"][0]["trusted"])
            s.engine.release["long-drain"] = True
            c.rest(a)
        assert a.complete and a.text() == TEXT, (a.complete, a.body[-300:])
        assert s.workers.pop().wait() == 0


def say_again(port, data, streams):
    """What a worker answers to bytes that were sent before: frames until each of these streams has ended, or
    the connection."""
    got, ended = b"", set()
    with socket.create_connection(("127.0.0.1", port), hangs_s()) as again:
        again.sendall(data)
        while not streams <= ended:
            try:
                more = again.recv(65536)
            except ConnectionError:
                break
            if not more:
                break
            got += more
            ended = {f.stream for f in frames_of(got)[0]
                     if f.kind == RST or f.kind in (DATA, HEADERS) and f.flags & END_STREAM}
    return frames_of(got)[0]


@test("a replayed sealed request starts nothing, on the same connection or another")
def _():
    with through_proxy() as s:
        assert chat(s.port, "plain-replayed").status == 200
        link = [l for l in s.proxies[0].links if l.sealed][0]
        for _ in range(3):
            frames = say_again(s.ports[0], link.to_worker, link.sealed)
            sealed = [f for f in frames if f.kind == DATA and f.stream in link.sealed]
            assert sealed and sealed[-1].flags & END_STREAM, [f.kind for f in frames]
        assert len(s.engine.of("plain-replayed")) == 1
        wait_for(lambda: s.workers[0].log.count('"outcome":"refused"') == 3)


@test("a sealed request with any part of it changed on the way starts nothing")
def _():
    with through_proxy() as s:
        assert chat(s.port, "plain-changed").status == 200
        link = [l for l in s.proxies[0].links if l.sealed][0]
        frames, _rest = frames_of(link.to_worker[len(PREFACE):])
        for at in (0, 1, 5, 7, 20, 39, 45, 200, -1):
            out = PREFACE
            for f in frames:
                if f.kind == DATA and f.stream in link.sealed and f.payload[1:3] == b"\x00\x20":
                    changed = bytearray(f.payload)
                    changed[at] ^= 1
                    f.payload = bytes(changed)
                    out += f.bytes()
                    changed[at] ^= 1
                    f.payload = bytes(changed)
                else:
                    out += f.bytes()
            assert say_again(s.ports[0], out, link.sealed), at
        assert len(s.engine.of("plain-changed")) == 1
        assert chat(s.port, "gpt-test").status == 200


@test("what was said is in no log, no database, and no byte between gateway and worker")
def _():
    with through_proxy(worker={"log_level": "debug"}, gateway={"log_level": "debug"}) as s:
        canaries = [PROMPT_CANARY.encode(), b"quetzal-answer-canary-5d1f", b"Bearer sk-canary-token"]
        for model in ("gpt-test", "err-400", "echo", "cut-3", "garbage-2", "html-502"):
            for stream in (False, True):
                chat(s.port, model, stream, headers=[("authorization", "Bearer sk-canary-token")])
        s.http("POST", "/v1/chat/completions", b'{"model": "' + canaries[0])
        s.http("POST", f"/v1/{PROMPT_CANARY}", {"model": PROMPT_CANARY})
        s.http("GET", f"/v1/models/{PROMPT_CANARY}")
        s.http("GET", f"/v1/receipts/{PROMPT_CANARY}")
        captured = s.proxies[0].captured()
        assert len(captured) > 10000
        for c in canaries:
            assert c not in captured
        assert b"sk-canary-token" not in b"".join(p.log.encode() for p in s.programs())
        for name in ("/metrics", "/v1/attestation"):
            assert PROMPT_CANARY.encode() not in s.http("GET", name).body
        s.scan()


@test("no program can leave a core file or be traced")
def _():
    with Stack() as s:
        for p in s.programs():
            limits = open(f"/proc/{p.pid}/limits", encoding="ascii").read()
            line = [l for l in limits.splitlines() if l.startswith("Max core file size")][0]
            assert line.split()[4:6] == ["0", "0"], line
            status = open(f"/proc/{p.pid}/status", encoding="ascii").read()
            assert "NoNewPrivs:\t1" in status
