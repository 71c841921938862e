"""What is done to a fleet, case by case, and what its clients saw: tests/e2e/chaos and test_chaos.py.

A case is a function that gets the fleet, does its harm, waits for as long as the harm lasts, and undoes
it. Counted from its beginning is until when requests failed, from its end how long until none failed any
more. Clients ask for streams before, during and after. No time is a condition for passing: a case passes
when no answer was silently cut, none hung, nothing reached an engine twice, every receipt that was handed
out is in the store and verifies, every program is alive, and a request passes after the end.
"""
import collections
import contextlib
import json
import os
import pathlib
import resource
import signal
import subprocess
import tempfile
import time

import chaos_attacks as attacks
from chaos_fleet import FAKETIME, GATEWAYS, PORT, RELAY, SEALED_PORT, WORKERS, Fleet, now, whole_after
from client import wait_for
from netns import why_not
from stack import Options

BEFORE, AFTER = 1.5, 4.0  # seconds of ordinary life around the harm
CASES = []
HEAD_LATE = 13  # a head has 10 s to come
LINK_DEAD = 24  # a connection that says nothing is asked for a sign after 15 s, and lost 5 s later
CONNECTIONS = 10000


class Case:
    def __init__(self, name, what, run, seconds, fleet, needs):
        self.name, self.what, self.run, self.seconds = name, what, run, seconds
        self.fleet, self.needs = fleet, needs


def case(name, what, seconds, fleet=None, needs=lambda: None):
    """seconds: how long the harm lasts at least. fleet: what makes one, as a context; needs: says why
    it cannot be run here, or None."""
    def register(run):
        CASES.append(Case(name, what, run, seconds, fleet or ordinary, needs))
        return run
    return register


@contextlib.contextmanager
def ordinary(**more):
    fleet = Fleet(**more)
    try:
        yield fleet
    finally:
        fleet.close()


# ---- the network ----

@case("loss", "5% of all frames of each worker are lost", 6)
def _(fleet):
    for w in WORKERS:
        fleet.net.wire(w, loss=0.05)
    time.sleep(6)
    for w in WORKERS:
        fleet.net.unwire(w)


@case("delay", "100 ms each way between workers and all others", 6)
def _(fleet):
    for w in WORKERS:
        fleet.net.wire(w, delay_ms=100)
    time.sleep(6)
    for w in WORKERS:
        fleet.net.unwire(w)


@case("half-open", "a worker's frames vanish, both ways, and nobody is told", LINK_DEAD)
def _(fleet):
    fleet.net.wire("w1", loss=1.0)
    time.sleep(LINK_DEAD)
    fleet.net.unwire("w1")


@case("half-open-relay", "the relay's frames vanish", LINK_DEAD)
def _(fleet):
    fleet.net.wire(RELAY, loss=1.0)
    time.sleep(LINK_DEAD)
    fleet.net.unwire(RELAY)


# ---- programs ----

@case("frozen", "a worker is stopped (SIGSTOP), and goes on later", LINK_DEAD)
def _(fleet):
    fleet.programs["w1"].signal(signal.SIGSTOP)
    time.sleep(LINK_DEAD)
    fleet.programs["w1"].signal(signal.SIGCONT)


def killed(name):
    def run(fleet):
        for _ in range(2):
            time.sleep(1)
            fleet.programs[name].kill()
            time.sleep(1)
            fleet.start(name)
    return run


for _name, _what in (("w1", "a worker"), ("relay", "the relay"), ("g1", "a gateway")):
    case(f"kill-{_name}", f"{_what} is killed (SIGKILL) and started again, twice", 5)(killed(_name))


@case("kill-engine", "a worker's engine is killed and started again", 4)
def _(fleet):
    fleet.engines["w1"].kill()
    fleet.engines["w1"].wait()
    time.sleep(3)
    fleet.start_engine("w1")


# ---- disk and clock ----

@contextlib.contextmanager
def small_disk():
    with tempfile.TemporaryDirectory() as disk:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk], check=True)
        try:
            with ordinary(receipts=f"{disk}/receipts.db") as fleet:
                fleet.disk = pathlib.Path(disk)
                yield fleet
        finally:
            subprocess.run(["umount", "-l", disk], check=True)


@case("full-disk", "nothing more can be written where a gateway keeps receipts", 5, small_disk)
def _(fleet):
    filler = fleet.disk / "filler"
    with open(filler, "wb", buffering=0) as f:
        with contextlib.suppress(OSError):
            while True:
                f.write(bytes(4096))
    time.sleep(5)
    filler.unlink()


def no_faketime():
    return None if os.path.exists(FAKETIME) else "needs libfaketime (Debian: faketime)"


def clock(name, first, second):
    def run(fleet):
        fleet.set_clock(name, first)
        time.sleep(5)
        fleet.set_clock(name, second)
        time.sleep(5)
        fleet.set_clock(name, "+0")
    return run


for _name, _what in (("g1", "a gateway's"), ("w1", "a worker's")):
    case(f"clock-{_name}", f"{_what} clock jumps 2 h ahead, then 2 h behind, then back", 10,
         lambda _name=_name: ordinary(clocks=[_name]), no_faketime)(clock(_name, "+2h", "-2h"))


# ---- other people's connections ----

def attack(name, what, make, listeners, threads=4, seconds=5):
    """make(address, port) gives what a thread does to that listener, again and again."""
    def run(fleet):
        ends = [fleet.keep_on(make(fleet.address(m), port), threads) for m, port in listeners]
        time.sleep(seconds)
        counts = [end() for end in ends]
        fleet.notes += [f"{m}: {made} connections, {ended} ended by it"
                        for (m, _), (made, ended) in zip(listeners, counts)]
        assert all(made >= threads for made, _ in counts), f"there was no attack: {counts}"
    case(name, what, seconds)(run)


CLEAR = [("g1", PORT), (RELAY, PORT)]
SEALED = [("w1", SEALED_PORT), (RELAY, SEALED_PORT)]

attack("slow-readers", "200 clients of a gateway ask for streams and read nothing", attacks.slow_reader,
       [("g1", PORT)], threads=200)
attack("slow-readers-h2", "clients of worker and relay open no window for what they ask for",
       attacks.slow_reader_h2, SEALED)
attack("slowloris", "200 heads of requests that never end, a byte at a time", attacks.slowloris, CLEAR,
       threads=100, seconds=HEAD_LATE)
attack("slowloris-h2", "200 connections to worker and relay that never finish a frame",
       attacks.slowloris_h2, SEALED, threads=100, seconds=HEAD_LATE)
attack("rapid-reset", "HTTP/2 streams that are reset at once, as fast as it goes", attacks.rapid_reset,
       SEALED)
attack("settings-flood", "HTTP/2 SETTINGS and PING, as fast as it goes", attacks.settings_flood, SEALED)


def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 2000
    if hard < wanted:
        return f"needs {wanted} open files; ulimit -Hn says {hard}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    return None


def roomy():
    return ordinary(gateway={"connections_max": str(CONNECTIONS + 1000), "idle_timeout": "2m"})


@case("connections", f"{CONNECTIONS} idle kept connections to a gateway", 5, roomy, many_files)
def _(fleet):
    with fleet.net.entered("clients"):
        held = attacks.idle_connections(fleet.address("g1"), PORT, CONNECTIONS)
    assert len(held) == CONNECTIONS, f"only {len(held)} connections were taken"
    time.sleep(5)
    fleet.notes.append("memory while they were held")
    fleet.at_most = fleet.memory()
    for s in held:
        s.close()


# ---- one case ----

def measured(c, fleet):
    """Runs one case; its row of the table."""
    process, out = fleet.load(BEFORE + c.seconds + AFTER + 600)
    time.sleep(BEFORE)
    try:
        begin = now()
        c.run(fleet)
        end = now()
        for name in GATEWAYS:
            wait_for(lambda: fleet.passes(name), every=0.2)
        time.sleep(AFTER)
    finally:
        process.terminate()
        process.wait(90 * Options.patience)
    fleet.check()
    results = [json.loads(line) for line in out.read_text().splitlines()]
    outcomes = collections.Counter(r["outcome"] for r in results)
    twice = [k for k, n in fleet.asked().items() if n > 1]
    lost = fleet.receipts_lost(results)
    memory = fleet.at_most or fleet.memory()
    faults = [f"{len(v)} {what}: {v[:4]}" for what, v in (
        ("silently cut", [(r["id"], r["why"]) for r in results if r["outcome"] == "cut"]),
        ("hung", [(r["id"], r["why"]) for r in results if r["outcome"] == "hung"]),
        ("asked twice", twice), ("receipts lost", lost)) if v]
    if not outcomes["ok"]:
        faults.append("no request passed")
    fleet.stop()
    bad = [r for r in results if r["outcome"] != "ok"]
    why = collections.Counter(r["why"][-160:] for r in bad)
    return {"case": c.name, "what": c.what, "outcomes": outcomes, "twice": len(twice), "lost": len(lost),
            "receipts": sum(bool(r["receipt"]) for r in results), "harm": end - begin,
            "until": max((r["ended"] - begin for r in bad), default=None), "whole": whole_after(results, end),
            "slowest": max(r["ended"] - r["began"] for r in results), "memory": memory, "faults": faults,
            "why": why, "notes": fleet.notes}


def run(c):
    """(row or None, why it was skipped or failed)."""
    why = why_not() or c.needs()
    if why is not None:
        return None, why
    with c.fleet() as fleet:
        return measured(c, fleet), None


HEAD = ("case", "ok", "error", "broken off", "silently cut", "hung", "asked twice", "receipts lost",
        "harm lasted", "failures until", "whole after", "slowest", "MiB gateway / relay / worker")


def row_words(row):
    o, m = row["outcomes"], row["memory"]
    until = "-" if row["until"] is None else f"{row['until']:.1f} s"
    return (row["case"], *(str(o[k]) for k in ("ok", "error", "broken", "cut", "hung")), str(row["twice"]),
            f"{row['lost']} of {row['receipts']}", f"{row['harm']:.0f} s", until, f"{row['whole']:.1f} s",
            f"{row['slowest']:.1f} s", " / ".join(f"{m.get(k, 0):.0f}" for k in ("gateway", "relay", "worker")))


def table(rows):
    words = [HEAD, *(row_words(r) for r in rows)]
    widths = [max(len(w[i]) for w in words) for i in range(len(HEAD))]
    lines = ["| " + " | ".join(c.ljust(n) for c, n in zip(w, widths)) + " |" for w in words]
    return [lines[0], "| " + " | ".join("-" * n for n in widths) + " |", *lines[1:]]
