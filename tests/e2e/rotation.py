"""Rotation and restarts under load: what tests/e2e/rotation and test_rotation.py share.

Three workers whose sealing keys turn every two seconds are restarted one after the other, all the
time; two gateways get a new signed policy and new tokens, by SIGHUP, all the time; and clients ask for
streams, each with an id of its own, which the engine writes down.
"""
import base64
import collections
import hashlib
import json
import pathlib
import signal
import subprocess
import sys
import threading
import time

import air
from client import Conn, wait_for
from stack import Options, Program, Stack, flags, free_port, is_open
from test_policy import ANY, Signer

HERE = pathlib.Path(__file__).resolve().parent
TOKEN = "rotation-token"
VERIFIED = 50  # receipts whose signature is checked by a second implementation; it is slow
WORKER = {"key_life": "3s", "key_ahead": "1s", "key_grace": "2s", "drain_timeout": "20s"}


class EngineProcess:
    """load_engine.py as a process; stands in for the engine that a Stack makes."""
    mistakes = ()

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.asked_path = pathlib.Path(folder) / "asked"
        self.process = subprocess.Popen([sys.executable, str(HERE / "load_engine.py"),
                                         f"127.0.0.1:{self.port}", str(self.asked_path)])
        wait_for(lambda: is_open(self.port))

    def asked(self):
        return collections.Counter(self.asked_path.read_text().split())

    def close(self):
        self.process.terminate()
        self.process.wait(10)


class Fleet:
    """Three workers and two gateways, and what keeps changing about them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.engine = EngineProcess(folder)
        self.signer = Signer(folder)
        self.tokens = self.folder / "tokens"
        self.token = self.folder / "token"
        self.token.write_text(TOKEN)
        self.write_tokens("first")
        self.stack = Stack(workers=3, worker=WORKER, engine=self.engine, start_gateway=False)
        self.gateways, self.ports = [], [free_port(), free_port()]
        self.restarts, self.policies, self.reloads = 0, 1, 0
        self.keys = set()
        self.over = threading.Event()
        self.faults = []

    def write_tokens(self, other):
        beside = self.tokens.with_suffix(".next")
        beside.write_text("".join(f"{hashlib.sha256(t.encode()).hexdigest()} {name}\n"
                                  for t, name in ((TOKEN, "load"), (f"other-{other}", other))))
        beside.replace(self.tokens)

    def start_gateways(self):
        for i, port in enumerate(self.ports):
            policy = self.signer.sign(ANY, 1, to=self.folder / f"policy-{i}")
            settings = {"workers": [f"127.0.0.1:{p}" for p in self.stack.ports],
                        "listen": f"127.0.0.1:{port}", "receipts": str(self.folder / f"receipts-{i}.db"),
                        "policy": str(policy), "policy_key": self.signer.public, "refresh": "2s",
                        "policy_state": str(self.folder / f"state-{i}"), "shards": 1,
                        "tokens_file": str(self.tokens), "worker_timeout": "20s",
                        "collateral": str(self.folder / f"collateral-{i}")}
            g = Program("sealgate-gateway", flags(settings), self.stack.folder)
            self.gateways.append(g)
            wait_for(lambda: is_open(port) or not g.alive())
            g.check()
        wait_for(lambda: all(self.get(p, "/readyz").status == 200 for p in self.ports))

    def get(self, port, path, conn=None):
        headers = [("authorization", f"Bearer {TOKEN}")]
        if conn is not None:
            return conn.get("GET", path, headers=headers)
        with Conn(port) as c:
            return c.get("GET", path, headers=headers)

    # ---- what changes ----

    def keep_on(self, what):
        """Runs it again and again, on a thread, until all is over."""
        def run():
            try:
                while not self.over.is_set():
                    what()
            except BaseException as why:
                self.faults.append(f"{what.__name__}: {why!r}")
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def restart_next(self):
        i = self.restarts % len(self.stack.workers)
        self.stack.workers[i].stop(60)
        self.stack.workers[i] = self.stack.start_worker(i)
        self.restarts += 1
        self.over.wait(0.3)

    def change_policy(self):
        self.policies += 1
        for i, g in enumerate(self.gateways):
            self.signer.sign(ANY, self.policies, to=self.folder / f"policy-{i}")
            self.write_tokens(f"t{self.policies}")
            g.signal(signal.SIGHUP)
            self.reloads += 1
        self.over.wait(1)

    def watch_keys(self):
        for port in self.ports:
            for w in json.loads(self.get(port, "/v1/attestation").body)["data"]:
                if w["trusted"]:
                    self.keys.add((w["address"], w["keys_expire_at"]))
        self.over.wait(0.5)

    # ---- the end ----

    def metric(self, name):
        return sum(int(float(line.rsplit(" ", 1)[1])) for p in self.ports
                   for line in self.get(p, "/metrics").body.decode().splitlines()
                   if line.startswith(name + "{") or line.startswith(name + " "))

    def stop(self):
        for g in self.gateways:
            g.stop()
        self.stack.stop()

    def abandon(self):
        for g in self.gateways:
            if g in Program.living:
                g.kill()
        self.stack.abandon()
        if self.engine.process.poll() is None:
            self.engine.close()


def stored(fleet, results):
    """How many of the receipts that were handed out are in the stores, and how many were verified."""
    there = verified = 0
    for port in fleet.ports:
        with Conn(port) as conn:
            for r in (r for r in results if r["receipt"] and r["at"].endswith(f":{port}")):
                page = fleet.get(port, f"/v1/receipts/{r['receipt']}", conn)
                there += page.status == 200 and page.json["id"] == r["receipt"]
                if page.status == 200 and verified < VERIFIED:
                    air.verify(base64.b64decode(page.json["receipt"]),
                               bytes.fromhex(page.json["signing_key"]))
                    verified += 1
    return there, verified


def has_turned(fleet):
    """Each worker was restarted, its keys turned, and policy and tokens changed."""
    return fleet.restarts >= 3 and fleet.policies >= 3 and len(fleet.keys) >= 9


def load(fleet, requests, clients, seconds):
    """The clients' results; they go on until everything has turned, too."""
    out, until = fleet.folder / "results", fleet.folder / "turned"
    command = [sys.executable, str(HERE / "load.py"), "--requests", str(requests), "--until", str(until),
               "--clients", str(clients), "--token", str(fleet.token), "--seconds", str(seconds),
               "--events", "6-14", "--gap", "5-100", "--filler", "0-60000", "--out", str(out), "--name", "rq",
               "--patience", str(60 * Options.patience)]
    for p in fleet.ports:
        command += ["--to", f"127.0.0.1:{p}"]
    with subprocess.Popen(command) as clients_process:
        while clients_process.poll() is None:
            if has_turned(fleet):
                until.touch()
            if fleet.faults:
                clients_process.terminate()
            time.sleep(0.1)
    return [json.loads(line) for line in out.read_text().splitlines()]


def report(fleet, results, requests, seconds):
    """(is all well, lines) of what was measured."""
    outcomes = collections.Counter(r["outcome"] for r in results)
    asked = fleet.engine.asked()
    twice = [k for k, n in asked.items() if n > 1]
    never = [r["id"] for r in results if r["outcome"] == "ok" and r["id"] not in asked]
    bad = [r for r in results if r["outcome"] != "ok"]
    handed = sum(bool(r["receipt"]) for r in results)
    there, verified = stored(fleet, results)
    times = sorted(r["ended"] - r["began"] for r in results)
    lines = [
        f"requests             {len(results)} streams through {len(fleet.ports)} gateways in "
        f"{seconds:.0f} s; median {times[len(times) // 2]:.2f} s, longest {times[-1]:.2f} s",
        f"failed               {len(bad) - outcomes['cut']}",
        f"silently cut         {outcomes['cut']}",
        f"asked twice          {len(twice)} of {len(asked)} ids at the engine",
        f"answered, not asked  {len(never)}",
        f"receipts             {handed} handed out, {there} in the stores, {verified} verified here",
        f"worker restarts      {fleet.restarts}",
        f"sealing keys         {len(fleet.keys)} seen in use, a new one every 2 s",
        f"policies             {fleet.policies} signed versions, {fleet.reloads} reloads by SIGHUP, "
        f"{fleet.metric('sealgate_policy_loads_total')} loads",
        f"sent again           {fleet.metric('sealgate_requests_resent_total')} provably not processed",
    ]
    lines += [f"  {r['outcome']} {r['id']} after {r['ended'] - r['began']:.2f} s: {r['why']!r}" for r in bad[:8]]
    lines += [f"  twice: {name}" for name in twice[:8]] + fleet.faults
    well = (len(results) >= requests and not bad and not twice and not never and handed == there and
            has_turned(fleet) and not fleet.faults)
    return well, lines


def measure(folder, requests, clients=64, seconds=900):
    """(is all well, lines) of a whole run."""
    fleet = Fleet(folder)
    try:
        fleet.start_gateways()
        threads = [fleet.keep_on(w) for w in (fleet.restart_next, fleet.change_policy, fleet.watch_keys)]
        began = time.monotonic()
        results = load(fleet, requests, clients, seconds * Options.patience)
        took = time.monotonic() - began
        fleet.over.set()
        for t in threads:
            t.join(90)
        well, lines = report(fleet, results, requests, took)
        fleet.stop()
        return well, lines
    finally:
        fleet.abandon()
