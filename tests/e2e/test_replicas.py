"""Workers with one pool key: the same sealing keys, one memory against replay"""
import concurrent.futures
import contextlib
import os
import pathlib
import signal
import socket
import tempfile
import threading
import time

from client import chat, hangs_s, http, wait_for
from engine import Engine
from proxy import DATA, PREFACE, RST, Proxy, frames_of
from stack import Program, Stack, flags, free_port, is_open, run
from suite import Skip, test

REPLICAS = 3


class Pool:
    """Workers behind proxies that listen in, their keeper, and a gateway that knows all of them."""

    def __init__(self, key=True, workers=REPLICAS, settings=(), gateway=(), keeper_env=None,
                 worker_env=None):
        self.engine = Engine()
        self.keeper = None
        self.address = f"127.0.0.1:{free_port()}"
        self.settings = dict(settings)
        if key:
            self.settings |= {"replay_keeper": self.address}
        self.keeper_env = keeper_env
        # The key's file has to be there before the workers are, and their folder is made with them.
        self.stack = Stack(workers=0, engine=self.engine, start_gateway=False)
        s = self.stack
        try:
            if key:
                self.settings["pool_key_file"] = s.write("pool.key", os.urandom(32).hex() + "\n")
                self.start_keeper()
            s.worker_settings |= self.settings
            s.env = worker_env
            for i in range(workers):
                s.ports.append(free_port())
                s.workers.append(s.start_worker(i))
            s.proxies = [Proxy(p) for p in s.ports]
            # What the gateway asked by itself would be counted with what it was asked.
            s.gateway_settings |= {"workers": [f"127.0.0.1:{p.port}" for p in s.proxies],
                                   "worker_probe": "0", **dict(gateway)}
            s.start_gateway()
            s.wait_ready()
            wait_for(self.all_in_use)
        except BaseException:
            self.leave()
            raise

    def all_in_use(self):
        """Each has been given a request by the gateway."""
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            for a in pool.map(lambda _: chat(self.stack.port, "slow-50-warm"), range(12)):
                assert a.status == 200, (a.status, bytes(a.body))
        return all(any(l.sealed for l in p.links) for p in self.stack.proxies)

    def start_keeper(self):
        settings = {**self.stack.worker_settings, **self.settings}
        settings.pop("replay_keeper", None)
        port = free_port()
        self.keeper = Program("sealgate-worker", flags({
            **settings, "listen": f"127.0.0.1:{port}", "name": "keeper",
            "replay_keeper_listen": self.address}), self.stack.folder, self.keeper_env)
        wait_for(lambda: is_open(port) or not self.keeper.alive())
        self.keeper.check()
        self.keeper_port = port

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                if self.keeper in Program.living:
                    self.keeper.stop()
                self.stack.stop()
        finally:
            self.leave()

    def leave(self):
        if self.keeper in Program.living:
            self.keeper.kill()
        self.stack.abandon()
        self.engine.close()

    def key_lists(self):
        return [list_of(p) for p in self.stack.ports]


def page(port, path):
    """A page of a worker, which speaks HTTP/2 only."""
    import subprocess
    done = subprocess.run(["curl", "-s", "-S", "--http2-prior-knowledge", "-m", str(hangs_s()), "-w",
                           "\\n%{http_code}", f"http://127.0.0.1:{port}{path}"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status or 0), body


def list_of(port):
    return page(port, "/.well-known/ohttp-gateway")


def metric(port, name, label=""):
    for line in page(port, "/metrics")[1].decode().splitlines():
        if line.startswith(name) and label in line:
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"there is no {name} {label}")


class Tape:
    """What one connection carried to a worker until now, and on which streams sealed requests."""

    def __init__(self, link):
        taken = link.to_worker
        frames, _ = frames_of(taken[len(PREFACE):])
        self.sealed = set(link.sealed)
        # A gateway that gave a stream up would give it up again.
        self.bytes = PREFACE + b"".join(f.bytes() for f in frames if f.kind != RST)


def tapes(pool):
    return [Tape(l) for proxy in pool.stack.proxies for l in proxy.links if l.sealed]


def replay(tape, port):
    """Sends it again; what was answered, under the seal or in the clear."""
    with socket.create_connection(("127.0.0.1", port)) as again:
        again.sendall(tape.bytes)
        again.settimeout(hangs_s())
        got, ended = b"", set()
        while not tape.sealed <= ended:
            data = again.recv(65536)
            assert data, "the worker hung up"
            got += data
            ended = {f.stream for f in frames_of(got)[0] if f.kind == DATA and f.flags & 1}
    return b"".join(f.payload for f in frames_of(got)[0] if f.kind == DATA)


def refused(worker):
    return worker.log.count('"outcome":"refused"')


def check_refused(count, before, more):
    """A worker writes its line when the stream is closed, which is after the answer has been read."""
    wait_for(lambda: count() - before >= more)
    assert count() - before == more, (count(), before, more)


def spread(s, taken, sealed):
    """A relay in front of all of them, which chooses among those that have the key."""
    port = free_port()
    relay = Program("sealgate-gateway", flags({
        "mode": "relay", "listen": f"127.0.0.1:{free_port()}", "listen_h2": f"127.0.0.1:{port}",
        "workers": [f"127.0.0.1:{p}" for p in s.ports]}), s.folder)
    try:
        wait_for(lambda: is_open(port) and list_of(port)[0] == 200)
        before = sum(refused(w) for w in s.workers)
        for tape in taken:
            replay(tape, port)
        check_refused(lambda: sum(refused(w) for w in s.workers), before, sealed)
        relay.stop()
    finally:
        if relay in Program.living:
            relay.kill()


@test("a captured request is refused by every worker of a pool; the engine is asked once")
def _():
    with Pool() as p:
        s = p.stack
        lists = p.key_lists()
        assert len(set(lists)) == 1 and lists[0][0] == 200 and lists[0][1], lists
        assert metric(p.keeper_port, "sealgate_worker_pool_members") == REPLICAS
        calls = len(s.engine.calls)
        taken = tapes(p)
        assert len(taken) >= REPLICAS
        sealed = sum(len(t.sealed) for t in taken)
        before = [refused(w) for w in s.workers]
        seen = [metric(port, "sealgate_worker_pool_asked_total", '"seen"') for port in s.ports]
        for tape in taken:
            for port in s.ports:
                replay(tape, port)
        # Each opened every one of them, and knew it from the keeper.
        for i, w in enumerate(s.workers):
            check_refused(lambda w=w: refused(w), before[i], sealed)
            now = metric(s.ports[i], "sealgate_worker_pool_asked_total", '"seen"')
            assert now - seen[i] == sealed, (now, seen[i], sealed)
        assert len(s.engine.calls) == calls
        spread(s, taken, sealed)
        assert len(s.engine.calls) == calls
        # What a gateway seals itself is fresh everywhere.
        for _ in range(2 * REPLICAS):
            assert chat(s.port, "plain-fresh").status == 200
        assert len(s.engine.of("plain-fresh")) == 2 * REPLICAS


@test("workers without a pool key refuse a replay of their own, and cannot open another's")
def _():
    with Pool(key=False) as p:
        s = p.stack
        assert len(set(p.key_lists())) == REPLICAS
        calls = len(s.engine.calls)
        for own, proxy in enumerate(s.proxies):
            for tape in [Tape(l) for l in proxy.links if l.sealed]:
                for i, port in enumerate(s.ports):
                    said = replay(tape, port)
                    # In the clear: not ours. Under the seal: seen before.
                    clear = b"not in use" in said or b"cannot be opened" in said
                    assert clear == (i != own), (i, own, said)
        assert len(s.engine.calls) == calls


@test("a pool without its keeper refuses, honestly; when it is back all is well, and old requests are "
      "not opened")
def _():
    with Pool(gateway={"worker_timeout": "1s"}) as p:
        s = p.stack
        taken = tapes(p)
        old = p.key_lists()[0]
        p.keeper.kill()
        wait_for(lambda: all(page(port, "/readyz")[0] == 503 for port in s.ports))
        calls = len(s.engine.calls)
        for stream in (False, True):
            a = chat(s.port, "plain-while-away", stream)
            assert a.status == 503, (a.status, bytes(a.body))
            assert 1 <= int(a.header("retry-after")) <= 60
        for tape in taken:
            for port in s.ports:
                assert b"keeper" in replay(tape, port)
        assert len(s.engine.calls) == calls

        p.start_keeper()
        wait_for(lambda: all(page(port, "/readyz")[0] == 200 for port in s.ports))
        lists = p.key_lists()
        assert len(set(lists)) == 1 and lists[0] != old, lists
        wait_for(lambda: chat(s.port, "plain-back").status == 200)
        calls = len(s.engine.calls)
        for tape in taken:
            for port in s.ports:
                said = replay(tape, port)
                assert b"not in use" in said or b"cannot be opened" in said, said
        assert len(s.engine.calls) == calls
        # Each worker has new keys, which the gateway learns one by one.
        wait_for(lambda: all(chat(s.port, "plain-back").status == 200 for _ in range(REPLICAS)))


@test("a keeper that hangs is not waited for long, and is asked again when it goes on")
def _():
    with Pool(gateway={"worker_timeout": "1s"}) as p:
        s = p.stack
        p.keeper.signal(signal.SIGSTOP)
        try:
            a = chat(s.port, "plain-while-frozen")
            assert a.status == 503, (a.status, bytes(a.body))
            assert not s.engine.of("plain-while-frozen")
        finally:
            p.keeper.signal(signal.SIGCONT)
        wait_for(lambda: all(page(port, "/readyz")[0] == 200 for port in s.ports))
        wait_for(lambda: chat(s.port, "plain-goes-on").status == 200)


@test("whoever has another key is no member of a pool, and a pool's worker follows no other keeper")
def _():
    with Pool(workers=1) as p:
        s = p.stack
        s.ports.append(free_port())
        stranger = s.start_worker(1, pool_key_file=s.write("other.key", os.urandom(32).hex()))
        try:
            assert page(s.ports[1], "/readyz")[0] == 503
            status, body = list_of(s.ports[1])
            assert status == 503, (status, body)
            assert page(s.ports[1], "/readyz")[0] == 503
            assert metric(p.keeper_port, "sealgate_worker_pool_members") == 1
        finally:
            stranger.stop()
            s.ports.pop()


@test("keys of a pool turn together, and requests go on meanwhile")
def _():
    times = {"key_life": "3s", "key_ahead": "1s", "key_grace": "2s"}
    with Pool(settings=times, gateway={"refresh": "1s"}) as p:
        s = p.stack
        first = p.key_lists()[0]
        failed, stop = [], threading.Event()

        def ask():
            while not stop.is_set():
                a = chat(s.port, "plain-turning", True)
                if a.status != 200 or not a.complete:
                    failed.append((a.status, bytes(a.body)))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for t in threads:
            t.start()
        try:
            lists = {first}
            while len(lists) < 5:
                now = wait_for(lambda: (lambda l: l if len(set(l)) == 1 else None)(p.key_lists()))
                assert now[0][0] == 200, now
                lists.add(now[0])
                time.sleep(0.1)
        finally:
            stop.set()
            for t in threads:
                t.join()
        assert not failed, failed[:3]


FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


def need_faketime():
    if not os.path.exists(FAKETIME):
        raise Skip("needs libfaketime (Debian: faketime)")


@test("a worker of a pool whose clock is behind lets no old request in")
def _():
    need_faketime()
    window, behind = 3, 12
    with Pool(workers=2, settings={"date_window": f"{window}s"}) as p:
        s = p.stack
        taken = tapes(p)
        began = time.monotonic()
        # Who remembers it no longer has it in two windows, of twice the date's each.
        wait_for(lambda: metric(p.keeper_port, "sealgate_worker_pool_entries") == 0 or
                 time.monotonic() - began > behind - 2)
        s.env = {"LD_PRELOAD": FAKETIME, "FAKETIME": f"-{behind}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        s.ports.append(free_port())
        s.workers.append(s.start_worker(2))
        port = s.ports[2]
        wait_for(lambda: page(port, "/readyz")[0] == 200)
        assert list_of(port) == list_of(s.ports[0])
        calls = len(s.engine.calls)
        for tape in taken:
            replay(tape, port)
        assert len(s.engine.calls) == calls
        asked = {word: metric(port, "sealgate_worker_pool_asked_total", f'"{word}"')
                 for word in ("fresh", "stale", "seen")}
        assert asked["fresh"] == 0 and asked["stale"] > 0, asked


@contextlib.contextmanager
def settable_clock():
    """A file with what a program's clock is off by, and the environment that has it read it."""
    need_faketime()
    with tempfile.TemporaryDirectory() as folder:
        clock = pathlib.Path(folder) / "clock"
        clock.write_text("+0")
        yield clock, {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(clock),
                      "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": "1"}


def serves(s):
    """A gateway that saw key statements out of their time looks again within 30 s; a new one at once."""
    s.gateway.stop()
    s.start_gateway()
    s.wait_ready()
    wait_for(lambda: chat(s.port, "plain-after").status == 200)


@test("a worker of its own whose clock jumps by hours opens no old request, and serves when it is right "
      "again")
def _():
    with settable_clock() as (clock, env), Pool(key=False, workers=1, worker_env=env) as p:
        s = p.stack
        taken = tapes(p)
        for jump in ("-2h", "+2h", "+0"):
            old = p.key_lists()[0]
            clock.write_text(jump)
            wait_for(lambda: p.key_lists()[0] != old)
            calls = len(s.engine.calls)
            for tape in taken:
                said = replay(tape, s.ports[0])
                assert b"not in use" in said or b"cannot be opened" in said, said
            assert len(s.engine.calls) == calls, jump
        serves(s)


@test("a keeper's clock that jumps by hours brings no request back, and does not stop the pool for good")
def _():
    with settable_clock() as (clock, env), Pool(keeper_env=env) as p:
        s = p.stack
        taken = tapes(p)
        for jump in ("-2h", "+2h", "+0"):
            old = p.key_lists()[0]
            clock.write_text(jump)
            wait_for(lambda: len(set(p.key_lists())) == 1 and p.key_lists()[0] != old)
            calls = len(s.engine.calls)
            for tape in taken:
                for port in s.ports:
                    replay(tape, port)
            assert len(s.engine.calls) == calls, jump
        serves(s)
        wait_for(lambda: all(page(port, "/readyz")[0] == 200 for port in s.ports))


@test("a pool's key may be sealed to its workers")
def _():
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: f"{folder}/{name}" for name in ("tee", "plain", "sealed")}
        pathlib.Path(paths["tee"]).write_bytes(os.urandom(32))
        os.chmod(paths["tee"], 0o600)
        pathlib.Path(paths["plain"]).write_text(os.urandom(32).hex() + "\n")
        status, out = run("sealgate", "seal", "--platform=simulated", f"--key-file={paths['tee']}",
                          "--key-id=worker", f"--in={paths['plain']}", f"--out={paths['sealed']}")
        assert status == 0, out
        settings = {"platform": "simulated", "secrets": "sealed", "secrets_key_file": paths["tee"],
                    "replay_keeper_listen": f"unix:{folder}/keeper"}
        port = free_port()
        worker = Program("sealgate-worker", flags({"listen": f"127.0.0.1:{port}", **settings,
                                                   "pool_key_file": paths["sealed"]}), folder)
        try:
            wait_for(lambda: is_open(port) or not worker.alive())
            worker.check()
            assert page(port, "/readyz")[0] == 200
            worker.stop()
        finally:
            if worker in Program.living:
                worker.kill()
        status, out = run("sealgate-worker", *flags({"listen": f"127.0.0.1:{port}", **settings,
                                                     "pool_key_file": paths["plain"]}))
        assert status == 1 and "is not sealed to this TEE" in out, (status, out)


@test("settings of a pool that would weaken it are refused, with what to do")
def _():
    with tempfile.TemporaryDirectory() as folder:
        key, bad = f"{folder}/key", f"{folder}/bad"
        with open(key, "w") as f:
            f.write("ab" * 32 + "\n")
        with open(bad, "w") as f:
            f.write("00" * 32 + "\n")
        base = ["--platform=simulated", f"--listen=127.0.0.1:{free_port()}"]
        keeper = f"--replay-keeper-listen=127.0.0.1:{free_port()}"
        for more, words in (([f"--pool-key-file={key}"], "needs replay_keeper"),
                            ([keeper], "needs replay_keeper"),
                            ([f"--pool-key-file={key}", keeper, "--replay-keeper=127.0.0.1:1"],
                             "one of them"),
                            ([f"--pool-key-file={key}", keeper, "--no-date-required"],
                             "date-required"),
                            ([f"--pool-key-file={key}", keeper, "--door-ehbp"], "door-ehbp"),
                            ([f"--pool-key-file={key}", "--replay-keeper=tls://127.0.0.1:1"],
                             "always TLS"),
                            ([f"--pool-key-file={bad}", keeper], "64 hex digits"),
                            ([f"--pool-key-file={folder}/none", keeper], "cannot be read")):
            status, out = run("sealgate-worker", *base, *more)
            assert status == 1 and words in out, (more, status, out)
