"""Several workers: which of them is asked, and what a bad one costs"""
import asyncio
import concurrent.futures
import contextlib
import json
import signal
import threading
import time

from client import chat, chat_body, request_bytes, wait_for
from engine import Engine, WORDS, error, model_object
from stack import Stack, free_port
from suite import test

TEXT = "".join(WORDS)
MANY = 120  # by chance one of three workers gets less than 5 of these once in 10**15


class OwnEngine(Engine):
    """One with a list of models of its own, which may be ill."""
    def __init__(self, models=None):
        super().__init__()
        self.models, self.ill, self.listed = models, False, 0

    async def answer(self, call):
        if call.path != "/v1/models":
            await super().answer(call)
            return
        self.listed += 1
        if self.ill:
            error(call, 503, "Loading model", "unavailable")
        elif self.models is None:
            await super().answer(call)
        else:
            call.whole(200, {"object": "list", "data": [model_object(m) for m in self.models]})


@contextlib.contextmanager
def fleet(n=3, gateway=None, models=None):
    """n workers with an engine each, and a gateway with one shard in front of them, which asks them nothing
    by itself unless it is told to."""
    engines = [OwnEngine(models[i] if models else None) for i in range(n)]
    try:
        with Stack(workers=0, start_gateway=False) as s:
            s.engines = engines
            for i, e in enumerate(engines):
                s.ports.append(free_port())
                s.workers.append(s.start_worker(i, engine=e.url))
            s.gateway_settings["workers"] = [f"127.0.0.1:{p}" for p in s.ports]
            s.gateway_settings.update({"shards": "1", "worker_slow_start": "0", "worker_probe": "0",
                                       **(gateway or {})})
            s.start_gateway()
            all_in_use(s, n)
            yield s
    finally:
        for e in engines:
            e.close()


def in_use(s):
    return s.metric("sealgate_worker_connections", state="in_use")


def all_in_use(s, n):
    wait_for(lambda: in_use(s) == n)


def good(answers):
    bad = [(a.status, bytes(a.body[-200:])) for a in answers if a.status != 200]
    assert not bad, (len(bad), bad[:3])


def some(s, n=40, model="gpt-test"):
    return [chat(s.port, model, stream=k % 2 == 0) for k in range(n)]


def share(s, model="gpt-test"):
    return [len(e.of(model)) for e in s.engines]


@test("requests are spread over all workers")
def _():
    with fleet() as s:
        good(some(s, MANY))
        assert all(n >= 5 for n in share(s)) and sum(share(s)) == MANY, share(s)


@test("a worker whose engine is gone costs no client an answer, and is left alone")
def _():
    with fleet(gateway={"worker_out": "1h", "worker_out_max": "1h"}) as s:
        s.engines[1].close()
        good(some(s, MANY))
        assert s.metric("sealgate_worker_outs_total", state="open") == 1
        assert s.metric("sealgate_requests_resent_total") == 3
        assert s.gateway.log.count("worker taken out") == 1, s.gateway.log


@test("a worker that says it is overloaded is made up for by another")
def _():
    async def full(call):
        error(call, 503, "Loading model", "unavailable")
    with fleet(gateway={"worker_out": "1h", "worker_out_max": "1h"}) as s:
        s.engines[2].scripts["gpt-test"] = full
        good(some(s, MANY))
        assert s.metric("sealgate_requests_resent_total") == 3


@test("when all workers are out they are asked all the same, and their own errors are told")
def _():
    with fleet(2, gateway={"worker_out": "1h", "worker_out_max": "1h"}) as s:
        for e in s.engines:
            e.close()
        for _ in range(12):
            a = chat(s.port, "gpt-test")
            assert a.status == 502 and a.error["code"] == "upstream_unreachable", (a.status, a.body)
        assert s.metric("sealgate_worker_outs_total", state="open") == 2
        # And nobody is asked twice as much.
        before = s.metric("sealgate_requests_resent_total")
        assert {a.status for a in some(s, 10)} == {502}
        assert s.metric("sealgate_requests_resent_total") == before


@test("an engine that answers with errors where others do not is put aside")
def _():
    async def broken(call):
        error(call, 500, "CUDA error", "internal")
    with fleet(gateway={"worker_out": "1h", "worker_out_max": "1h"}) as s:
        s.engines[0].scripts["gpt-test"] = broken
        bad = []  # when they came

        def is_ejected():
            answers = some(s, 10)
            good(a for a in answers if a.status != 500)
            bad.extend(time.monotonic() for a in answers if a.status == 500)
            return s.metric("sealgate_worker_outs_total", state="ejected") == 1
        wait_for(is_ejected)
        # Those of the latest 10 seconds count, at least.
        assert 20 <= len(bad) and len([t for t in bad if t > bad[-1] - 9]) <= 60, len(bad)
        good(some(s, 40))
        assert len(s.engines[0].of("gpt-test")) == len(bad)


@test("an error that comes when a stream was promised already is blamed on nobody but its maker")
def _():
    promised = threading.Event()

    async def late(call):
        while not promised.is_set():
            await asyncio.sleep(0.01)
        error(call, 400, "too long", "context_length_exceeded")
    with fleet(1, gateway={"commit_after": "100ms", "worker_out": "1h",
                           "worker_out_max": "1h"}) as s, contextlib.ExitStack() as open_ones:
        s.engines[0].scripts["late"] = late
        conns = [open_ones.enter_context(s.conn()) for _ in range(24)]
        for c in conns:
            c.send(request_bytes("POST", "/v1/chat/completions", chat_body("late", True), (), s.port))
        heads = [c.head() for c in conns]
        promised.set()
        for c, a in zip(conns, heads):
            c.rest(a)
            assert a.status == 200 and not a.complete and b"upstream_broken" in a.body, a.body
        assert s.metric("sealgate_worker_outs_total", state="open") == 0
        good(some(s, 5))


@test("a worker that was killed costs nothing that was not under way, and gets its share again")
def _():
    with fleet(gateway={"worker_out": "100ms"}) as s:
        good(some(s, 20))
        s.workers[1].kill()
        wait_for(lambda: in_use(s) == 2)
        good(some(s, 30))
        killed = share(s)[1]
        s.workers[1] = s.start_worker(1, engine=s.engines[1].url)
        # The connection is there before the new process has been verified.
        wait_for(lambda: chat(s.port, "gpt-test").status == 200 and share(s)[1] > killed)
        before = share(s)[1]
        good(some(s, MANY))
        assert share(s)[1] >= before + 5, (before, share(s))


@test("a frozen worker is found out, and works again when it thaws")
def _():
    with fleet(gateway={"worker_ping": "3s"}) as s:
        s.workers[1].signal(signal.SIGSTOP)
        try:
            with concurrent.futures.ThreadPoolExecutor(12) as pool:
                answers = [f.result() for f in [pool.submit(chat, s.port, "gpt-test")
                                                for _ in range(12)]]
            # What was sealed whole may be answered there one day: it is told, and not asked twice.
            for a in answers:
                assert a.status == 200 or a.error["code"] == "upstream_broken", (a.status, a.body)
            assert len([a for a in answers if a.status == 200]) >= 6
            wait_for(lambda: in_use(s) == 2)
            good(some(s, 30))
        finally:
            s.workers[1].signal(signal.SIGCONT)
        # One that is back is tried by a request, if it had failed some.
        wait_for(lambda: chat(s.port, "gpt-test").status == 200 and in_use(s) == 3)
        good(some(s, 30))


@test("why a worker is not in use is told by one word: to who asks, in metrics, and once in the log")
def _():
    with Stack(workers=2, start_gateway=False, ready=False) as s:
        s.gateway_settings["policy"] = s.write(
            "policy.yaml", "platforms: [simulated]\nmeasurements: any\nworker_names: [w0]\n")
        s.start_gateway()
        s.wait_ready()
        page = wait_for(lambda: (lambda d: d if d[1].get("quarantine") == "worker" else None)(
            s.http("GET", "/v1/attestation").json["data"]))
        assert page[0]["trusted"] and "quarantine" not in page[0] and not page[1]["trusted"]
        assert s.metric("sealgate_workers_quarantined", reason="worker") == 1
        assert s.metric("sealgate_workers_trusted") == 1
        s.workers[1].stop()
        s.workers[1] = s.start_worker(1, name="w0")
        wait_for(lambda: s.metric("sealgate_workers_trusted") == 2)
        assert s.metric("sealgate_workers_quarantined", reason="worker") == 0
        said = [json.loads(line) for line in s.gateway.log.splitlines() if '"worker refused"' in line]
        assert len(said) == 1 and said[0]["check"] == "worker" and said[0]["reason"] == "mismatch" and \
            said[0]["address"] == f"127.0.0.1:{s.ports[1]}" and "policy" in said[0]["advice"], said


def wait_for_lists(s):
    """Until what was listed first is surely known."""
    for e in s.engines:
        seen = e.listed
        wait_for(lambda e=e, seen=seen: e.listed >= seen + 3)


@test("a model is asked of a worker that has it, and the list of models of who has the most")
def _():
    lists = [["gpt-test"], ["words-3-1", "words-2-1"], ["gpt-test", "echo", "plain-a"]]
    with fleet(gateway={"worker_probe": "100ms"}, models=lists) as s:
        wait_for_lists(s)
        good(some(s, 30))
        good(some(s, 10, "words-3-1"))
        assert share(s, "gpt-test")[1] == 0 and min(share(s)[0], share(s)[2]) > 0, share(s)
        assert share(s, "words-3-1") == [0, 10, 0], share(s, "words-3-1")
        for _ in range(5):
            a = s.http("GET", "/v1/models")
            assert [m["id"] for m in a.json["data"]] == lists[2] and a.header("x-receipt-id")
        # A model that nobody lists: whoever is asked says it himself, with a receipt.
        a = chat(s.port, "nobody-has-this")
        assert a.status == 404 and a.error["code"] == "model_not_found" and a.header("x-receipt-id")


@test("a model whose only worker is away is waited for, and not said to be unknown")
def _():
    lists = [["gpt-test"], ["words-3-1"]]
    with fleet(2, gateway={"worker_probe": "100ms", "worker_timeout": "400ms"}, models=lists) as s:
        wait_for_lists(s)
        s.workers[1].kill()
        wait_for(lambda: in_use(s) == 1)
        a = chat(s.port, "words-3-1")
        assert a.status == 503 and a.header("retry-after"), (a.status, a.body)
        good(some(s, 5))
        assert share(s, "words-3-1") == [0, 0]
        s.workers[1] = s.start_worker(1, engine=s.engines[1].url)
        all_in_use(s, 2)
        wait_for(lambda: chat(s.port, "words-3-1").status == 200)


@test("a probe finds an engine that does no work before any client does, and that it works again")
def _():
    with fleet(gateway={"worker_probe": "100ms"}) as s:
        s.engines[1].ill = True
        wait_for(lambda: s.metric("sealgate_workers_sick") == 1 and in_use(s) == 2)
        good(some(s, 30))
        assert share(s)[1] == 0 and s.gateway.log.count("does not do its work") == 1
        s.engines[1].ill = False
        all_in_use(s, 3)
        assert s.metric("sealgate_workers_sick") == 0
        good(some(s, MANY))
        assert share(s)[1] >= 5, share(s)


@test("a worker that is alone is asked nothing but what clients ask")
def _():
    with fleet(1, gateway={"worker_probe": "50ms"}) as s:
        good(some(s, 20))
        assert s.engines[0].listed == 0
