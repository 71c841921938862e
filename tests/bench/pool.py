"""What it costs a request that a worker asks its pool's keeper: the same gateway and worker twice, with a
pool key and without. The keeper stands on the core of the load, as another machine would.
"""
import os
import statistics
import sys

KINDS = ("alone", "pool")


def stand_of(bench):
    """The pool's stand, on the programs and the loads of the others."""
    class PoolStand(bench.Stand):
        def __init__(self, build, folder):
            super().__init__(build, folder)
            self.ports = {name: bench.free_port() for name in (*KINDS, "engine", "keeper", "members")}

        def start_worker(self, core, *options):
            port = bench.free_port()
            worker = self.spawn(core, self.build / "sealgate-worker", "--platform", "simulated",
                                "--listen", f"127.0.0.1:{port}", "--log-level", "error", "--engine",
                                f"http://127.0.0.1:{self.ports['engine']}", *options)
            bench.wait_for(port, "sealgate-worker")
            return worker, port

        def open(self):
            p, self.pids = self.ports, {}
            self.spawn(bench.LOAD_CORE, self.build / "tests/bench/bench-engine", p["engine"])
            bench.wait_for(p["engine"], "the mock engine")
            key = self.dir / "pool.key"
            key.write_text(os.urandom(32).hex())
            shared = ("--pool-key-file", key)
            address = f"127.0.0.1:{p['members']}"
            self.start_worker(bench.LOAD_CORE, *shared, "--replay-keeper-listen", address)
            for who, options in (("alone", ()), ("pool", (*shared, "--replay-keeper", address))):
                worker, port = self.start_worker(bench.PROXY_CORE, *options)
                gateway = self.spawn(bench.PROXY_CORE, self.build / "sealgate-gateway", "--listen",
                                     f"127.0.0.1:{p[who]}", "--workers", f"127.0.0.1:{port}",
                                     "--policy", "simulated", "--shards", 1, "--log-level", "error",
                                     "--receipts", self.dir / f"{who}.db")
                bench.wait_for(p[who], "sealgate-gateway")
                self.wait_until_ready(p[who])
                self.pids[who] = [gateway, worker]

    return PoolStand


def one_by_one(stand, who, scale):
    return stand.load(who, "--clients", 1, "--body", 1024, "--warm", int(300 * scale),
                      "--measure", int(1500 * scale))


def measure(bench, build, folder, rounds, scale):
    rows = []
    with stand_of(bench)(build, folder) as stand:
        for n in range(rounds):
            print(f"\rpool, round {n + 1} of {rounds}", end="", file=sys.stderr, flush=True)
            # Whoever comes second in one round comes first in the next.
            order = KINDS if n % 2 == 0 else KINDS[::-1]
            rows.append({load: {who: fn(stand, who, scale) for who in order}
                         for load, fn in (("one", one_by_one), ("many", bench.LOADS["small"]))})
    print("\r" + 40 * " " + "\r", end="", file=sys.stderr, flush=True)
    return rows


LINES = (
    ("1 client, us per request", "one", lambda bench, r: r["us"] / max(r["answers"], 1)),
    ("1 client, us of CPU per request", "one", lambda bench, r: bench.per(r, "answers")),
    ("64 clients, us per request", "many", lambda bench, r: r["us"] / max(r["answers"], 1)),
    ("64 clients, us of CPU per request", "many", lambda bench, r: bench.per(r, "answers")),
)


def show(bench, rows):
    print(f"\n{'a request of 1 KB, and its answer':46}{'alone':>10}{'in a pool':>10}{'ratio':>9}")
    for what, load, value in LINES:
        of = {who: [value(bench, r[load][who]) for r in rows] for who in KINDS}
        ratio = statistics.median(b / a for a, b in zip(of["alone"], of["pool"]))
        print(f"   {what:43}{min(of['alone']):>10,.0f}{min(of['pool']):>10,.0f}{ratio:>9.2f}")
