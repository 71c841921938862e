"""Several workers behind one relay: a gateway uses all of them, whatever the relay says"""
import contextlib
import re
import signal

from client import chat, http, wait_for
from proxy import DATA, END_STREAM, Frame, Proxy
from stack import Program, Stack, free_port
from suite import test
from test_balance import OwnEngine, good, in_use, share, some
from test_relay import start_relay
from test_replicas import Pool

LIST = "/.well-known/sealgate-workers"
TAGS = re.compile(rb"([0-9a-f]{16}\n)+")


@contextlib.contextmanager
def fleet(n=3, gateway=None, between=None, worker=None):
    """n workers with an engine each behind a relay, and a gateway that knows the relay alone. Each has
    one shard, so that what one request finds out is known to the next."""
    engines = [OwnEngine() for _ in range(n)]
    try:
        with Stack(workers=0, worker=worker, start_gateway=False) as s:
            s.engines = engines
            for i, e in enumerate(engines):
                s.ports.append(free_port())
                s.workers.append(s.start_worker(i, engine=e.url))
            open_relay(s)
            s.proxies = [between(s.relay_h2)] if between else []
            port = s.proxies[0].port if between else s.relay_h2
            s.gateway_settings.update({"workers": [f"127.0.0.1:{port}"], "shards": "1",
                                       "worker_slow_start": "0", **(gateway or {})})
            s.start_gateway()
            try:
                yield s
                s.gateway.stop()
                s.relay.stop()
            finally:
                if s.relay in Program.living:
                    s.relay.kill()
    finally:
        for e in engines:
            e.close()


def open_relay(s):
    """In the place of the one before, which goes on if it does."""
    s.relay_port, s.relay_h2 = free_port(), free_port()
    s.relay_settings = {"mode": "relay", "listen": f"127.0.0.1:{s.relay_port}", "shards": "1",
                        "listen_h2": f"127.0.0.1:{s.relay_h2}",
                        "workers": [f"127.0.0.1:{p}" for p in s.ports]}
    s.relay = start_relay(s)


def listed(s):
    """The tags that the relay lists."""
    return http(s.relay_port, "GET", LIST).body.decode().split()


def page(s):
    return s.http("GET", "/v1/attestation").json["data"]


def until_used(s, n):
    """Until those n that the relay lists are verified and connected, and nobody else is."""
    def are_used():
        tags = listed(s)
        have = page(s)
        return (len(tags) == n and sorted(w.get("tag", "") for w in have) == sorted(tags) and
                all(w["trusted"] for w in have) and in_use(s) == n)
    wait_for(are_used)


def until_alone(s):
    """Until the relay's address itself is the only worker there is."""
    wait_for(lambda: [(w["trusted"], w.get("tag")) for w in page(s)] == [(True, None)] and
             in_use(s) == 1)


def signers(s, answers):
    return {s.http("GET", f"/v1/receipts/{a.header('x-receipt-id')}").json["signing_key"]
            for a in answers}


@test("all workers behind a relay are verified, each by itself, and get requests")
def _():
    with fleet() as s:
        until_used(s, 3)
        seen = {w["tag"]: w["verdict"]["identity"] for w in page(s)}
        assert len(seen) == 3 and all(i.startswith(t) for t, i in seen.items()), seen
        answers = some(s, 60)
        good(answers)
        assert all(n >= 5 for n in share(s)) and sum(share(s)) == 60, share(s)
        assert len(signers(s, answers)) == 3
        assert s.metric("sealgate_requests_resent_total") == 0


@test("a worker behind a relay whose engine is gone costs no client an answer, and is left alone")
def _():
    with fleet(gateway={"worker_out": "1h", "worker_out_max": "1h"}) as s:
        until_used(s, 3)
        s.engines[1].close()
        good(some(s, 60))
        assert s.metric("sealgate_worker_outs_total", state="open") == 1
        assert s.metric("sealgate_requests_resent_total") == 3
        assert s.gateway.log.count("worker taken out") == 1, s.gateway.log


@test("a worker behind a relay that was killed costs no client an answer, and gets its share again")
def _():
    with fleet(gateway={"worker_out": "1h", "worker_out_max": "1h"}) as s:
        until_used(s, 3)
        s.workers[1].kill()
        wait_for(lambda: len(listed(s)) == 2)
        good(some(s, 40))
        until_used(s, 2)
        killed = share(s)[1]
        good(some(s, 40))
        assert share(s)[1] == killed and s.metric("sealgate_requests_resent_total") <= 3, share(s)
        s.workers[1] = s.start_worker(1, engine=s.engines[1].url)
        until_used(s, 3)
        before = share(s)[1]
        good(some(s, 60))
        assert share(s)[1] >= before + 5, (before, share(s))


@test("a follow-up goes through a relay to the worker that holds what it refers to")
def _():
    with fleet() as s:
        until_used(s, 3)
        names = [s.http("POST", "/v1/responses", {"model": "gpt-test", "input": "one"}).json["id"]
                 for _ in range(60)]
        assert len({n.split("_")[1][:8] for n in names}) == 3, names
        for n in names:
            a = s.http("POST", "/v1/responses", {"model": "gpt-test", "input": "two",
                                                 "previous_response_id": n})
            assert a.status == 200 and a.json["previous_response_id"] == n, a.body
            assert s.http("GET", f"/v1/responses/{n}").status == 200


def expiry(s):
    return {w["tag"]: w.get("keys_expire_at", 0) for w in page(s) if "tag" in w}


@test("keys that rotate behind a relay cost no request")
def _():
    with fleet(gateway={"refresh": "1s"}, worker={"key_life": "6s", "key_ahead": "2s",
                                                  "key_grace": "20s"}) as s:
        until_used(s, 3)
        until = expiry(s)
        for _ in range(2):
            wait_for(lambda: all(expiry(s).get(tag, 0) > at for tag, at in until.items()))
            until = expiry(s)
            good(some(s, 20))
        assert all(n >= 1 for n in share(s)), share(s)


@test("a relay that restarts, or is away for a while, leaves its workers what they were")
def _():
    with fleet() as s:
        until_used(s, 3)
        s.relay.kill()
        wait_for(lambda: in_use(s) == 0)
        assert len(page(s)) == 3
        s.relay = start_relay(s)
        until_used(s, 3)
        good(some(s, 30))
        assert all(n >= 1 for n in share(s)), share(s)


@test("a relay without any worker is waited for, and then used as before")
def _():
    with fleet(2) as s:
        until_used(s, 2)
        for w in s.workers:
            w.kill()
        wait_for(lambda: page(s)[0].get("tag") is None and not page(s)[0]["trusted"])
        s.workers = [s.start_worker(i, engine=e.url) for i, e in enumerate(s.engines)]
        until_used(s, 2)
        good(some(s, 20))


def say(text):
    """Makes a hook that has the relay list this, in frames as large as any peer takes them."""
    def on_clear(f):
        if not TAGS.fullmatch(f.payload):
            return f.bytes()
        pieces = [text[i:i + 16384] for i in range(0, len(text), 16384)] or [b""]
        frames = []
        for i, piece in enumerate(pieces):
            last = f.flags & END_STREAM if i == len(pieces) - 1 else 0
            head = bytes([0, 0, 0, DATA, last]) + f.stream.to_bytes(4, "big")
            frames.append(Frame(head, piece).bytes())
        return b"".join(frames)
    return on_clear


def tags(n, first=0):
    return b"".join(b"%016x\n" % i for i in range(first, first + n))


class Nonsense(Proxy):
    """A relay that lists nobody that there is, from the first answer on."""
    def __init__(self, target):
        super().__init__(target)
        self.on_clear = say(tags(64))


@test("a relay that lists 10000 workers, or one twice, or no tags, is used as one that lists nobody")
def _():
    with fleet(between=Proxy) as s:
        until_used(s, 3)
        lies = [tags(10000), tags(65), tags(1) * 2, b"<html>no</html>\n" * 5, b"x" * 500000,
                tags(2)[:-1], tags(1).upper().replace(b"0", b"A")]
        for lie in lies:
            s.proxies[0].on_clear = say(lie)
            s.gateway.stop()
            s.start_gateway()
            until_alone(s)
            good(some(s, 4))


@test("a relay that lists workers that there are not costs nothing but the looks at them")
def _():
    with fleet(between=Nonsense) as s:
        wait_for(lambda: len(page(s)) == 64)
        assert not [w for w in page(s) if w.get("tag") and w["trusted"]]
        wait_for(lambda: in_use(s) == 1)
        good(some(s, 20))
        s.proxies[0].on_clear = None
        until_used(s, 3)
        good(some(s, 30))
        assert all(n >= 1 for n in share(s)), share(s)


@test("a relay that stops listing anybody it knows leaves no client without an answer")
def _():
    with fleet(between=Proxy) as s:
        until_used(s, 3)
        s.proxies[0].on_clear = say(b"")
        wait_for(lambda: not [w for w in page(s) if w.get("tag")] or not chat_is_fine(s))
        until_alone(s)
        good(some(s, 10))


def chat_is_fine(s):
    a = chat(s.port, "gpt-test")
    assert a.status == 200, a.body
    return True


@test("workers that share their keys are told apart behind a relay: each receipt is by who was asked")
def _():
    with Pool(workers=3) as p:
        s = p.stack
        open_relay(s)
        try:
            s.gateway.stop()
            s.gateway_settings.update(workers=[f"127.0.0.1:{s.relay_h2}"], shards="1")
            s.start_gateway()
            until_used(s, 3)
            answers = some(s, 60)
            good(answers)
            assert len(signers(s, answers)) == 3
            s.relay.stop()
        finally:
            if s.relay in Program.living:
                s.relay.kill()


@test("two relays in front of the same workers are two ways to each")
def _():
    with fleet(2) as s:
        until_used(s, 2)
        first, at = s.relay, s.relay_h2
        open_relay(s)
        try:
            s.gateway.stop()
            s.gateway_settings["workers"] = [f"127.0.0.1:{at}", f"127.0.0.1:{s.relay_h2}"]
            s.start_gateway()
            wait_for(lambda: sorted(w.get("tag", "") for w in page(s)) == sorted(2 * listed(s)) and
                     all(w["trusted"] for w in page(s)) and in_use(s) == 4)
            good(some(s, 30))
            first.signal(signal.SIGKILL)
            wait_for(lambda: in_use(s) == 2)
            good(some(s, 30))
            assert all(n >= 5 for n in share(s)), share(s)
        finally:
            first.kill()
