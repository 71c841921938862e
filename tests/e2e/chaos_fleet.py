"""The machines that chaos.py plays with: two gateways, a relay, three workers with an engine each.

    clients -> g1 -> w1, w2, w3
    clients -> g2 -> relay -> w1, w2, w3
"""
import base64
import collections
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

import air
from client import Broken, Conn, wait_for
from netns import Net
from stack import Options, Program, flags

HERE = pathlib.Path(__file__).resolve().parent
GATEWAYS, RELAY, WORKERS = ("g1", "g2"), "relay", ("w1", "w2", "w3")
PORT, SEALED_PORT = 8080, 8443
VERIFIED = 20  # receipts whose signature a second implementation checks, per case
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


def listens(address, port):
    try:
        Conn(port, 1, host=address).close()
        return True
    except OSError:
        return False


class Fleet:
    """Started by the constructor; everything in it is ended by close()."""

    def __init__(self, clocks=(), receipts=None, gateway=None):
        """clocks: machines whose clock can be set (set_clock()); receipts: where g1 keeps them;
        gateway: more settings of g1."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sealgate-chaos-"))
        self.logs = self.folder / "logs"
        self.logs.mkdir()
        self.net = Net(["clients", *GATEWAYS, RELAY, *WORKERS])
        self.clocks, self.receipts, self.g1_settings = clocks, receipts, gateway or {}
        self.programs, self.engines, self.threads = {}, {}, []
        self.loads, self.notes, self.at_most = 0, [], None
        try:
            for name in WORKERS:
                self.start_engine(name)
                self.start(name)
            for name in (RELAY, *GATEWAYS):
                self.start(name)
            for name in GATEWAYS:
                wait_for(lambda: self.is_ready(name))
        except BaseException:
            self.close()
            raise

    # ---- programs ----

    def address(self, name):
        return self.net.address(name)

    def settings(self, name):
        workers = [f"{self.address(w)}:{SEALED_PORT}" for w in WORKERS]
        if name in WORKERS:
            return "sealgate-worker", {
                "listen": f"{self.address(name)}:{SEALED_PORT}", "name": name, "platform": "simulated",
                "engine": "http://127.0.0.1:9000", "drain_timeout": "20s"}
        if name == RELAY:
            return "sealgate-gateway", {
                "mode": "relay", "listen": f"{self.address(name)}:{PORT}",
                "listen_h2": f"{self.address(name)}:{SEALED_PORT}", "workers": workers}
        more = self.g1_settings if name == "g1" else {}
        own = self.receipts if name == "g1" and self.receipts else self.folder / f"receipts-{name}.db"
        return "sealgate-gateway", {
            "listen": f"{self.address(name)}:{PORT}", "policy": "simulated", "receipts": str(own),
            "collateral": str(self.folder / f"collateral-{name}"),
            "workers": workers if name == "g1" else f"{self.address(RELAY)}:{SEALED_PORT}", **more}

    def start(self, name):
        binary, settings = self.settings(name)
        env = {}
        if name in self.clocks:
            self.set_clock(name, "+0")
            env = {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(self.folder / f"clock-{name}"),
                   "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": "1"}
        self.programs[name] = p = Program(binary, flags(settings), self.logs, env, self.net.inside(name))
        port = SEALED_PORT if name in WORKERS else PORT
        with self.net.entered("clients"):
            wait_for(lambda: listens(self.address(name), port) or not p.alive())
        p.check()

    def start_engine(self, name):
        self.engines[name] = subprocess.Popen(
            [*self.net.inside(name), sys.executable, str(HERE / "load_engine.py"), "127.0.0.1:9000",
             str(self.folder / f"asked-{name}")])
        with self.net.entered(name):
            wait_for(lambda: listens("127.0.0.1", 9000))

    def set_clock(self, name, text):
        (self.folder / f"clock-{name}").write_text(text + "\n")

    def memory(self):
        """MiB that each kind of program has resident, the largest of each."""
        out = collections.Counter()
        for name, p in self.programs.items():
            status = pathlib.Path(f"/proc/{p.pid}/status").read_text() if p.alive() else ""
            kind = "gateway" if name in GATEWAYS else "worker" if name in WORKERS else name
            for line in status.splitlines():
                if line.startswith("VmRSS"):
                    out[kind] = max(out[kind], int(line.split()[1]) / 1024)
        return out

    # ---- clients ----

    def get(self, name, path):
        with self.net.entered("clients"), Conn(PORT, 10, host=self.address(name)) as c:
            return c.get("GET", path)

    def is_ready(self, name):
        try:
            return self.get(name, "/readyz").status == 200
        except (OSError, Broken):
            return False

    def load(self, seconds, clients=8, patience=50, **more):
        """Clients that ask both gateways, as a process: (process, file of results)."""
        self.loads += 1
        out = self.folder / f"results-{self.loads}"
        command = [*self.net.inside("clients"), sys.executable, str(HERE / "load.py"), "--seconds",
                   str(seconds), "--clients", str(clients), "--patience", str(patience * Options.patience),
                   "--name", f"rq{self.loads}", "--out", str(out), "--events", "4-12", "--gap", "10-80"]
        for name in more.get("to", GATEWAYS):
            command += ["--to", f"{self.address(name)}:{PORT}"]
        return subprocess.Popen(command), out

    def passes(self, name):
        """True when one request through that gateway is answered now."""
        process, out = self.load(20, clients=1, patience=15, to=[name])
        wait_for(lambda: out.exists() and out.read_text().count("\n") > 0 or process.poll() is not None)
        process.kill()
        process.wait()
        lines = [json.loads(line) for line in out.read_text().splitlines() if line.endswith("}")]
        return bool(lines) and lines[0]["outcome"] == "ok"

    def keep_on(self, what, n=1):
        """Runs what(stop) on n threads of the clients' machine; gives what ends them and says how often it
        ran, and how often it ended before it was to."""
        stop = threading.Event()
        made, ended = [], []

        def run():
            while not stop.is_set():
                made.append(1)
                try:
                    what(stop)
                except OSError:
                    stop.wait(0.05)
                if not stop.is_set():
                    ended.append(1)
        with self.net.entered("clients"):
            threads = [threading.Thread(target=run, daemon=True) for _ in range(n)]
            for t in threads:
                t.start()

        def end():
            stop.set()
            for t in threads:
                t.join(20)
            return len(made), len(ended)
        return end

    # ---- what became of it ----

    def asked(self):
        out = collections.Counter()
        for path in self.folder.glob("asked-*"):
            out.update(path.read_text().split())
        return out

    def receipts_lost(self, results):
        """Those that were handed out and are not in the gateway's store, or do not verify."""
        lost, verified = [], 0
        for name in GATEWAYS:
            mine = [r["receipt"] for r in results
                    if r["receipt"] and r["at"].startswith(self.address(name) + ":")]
            with self.net.entered("clients"), Conn(PORT, 10, host=self.address(name)) as c:
                for receipt in mine:
                    page = c.get("GET", f"/v1/receipts/{receipt}")
                    if page.status != 200:
                        lost.append(receipt)
                    elif verified < VERIFIED:
                        air.verify(base64.b64decode(page.json["receipt"]),
                                   bytes.fromhex(page.json["signing_key"]))
                        verified += 1
        return lost

    def check(self):
        for p in self.programs.values():
            p.check()

    def stop(self):
        """Politely; a program that had a fault says so here."""
        for name in (*GATEWAYS, RELAY, *WORKERS):
            self.programs.pop(name).stop(60)

    def close(self):
        for p in self.programs.values():
            if p in Program.living:
                p.signal(signal.SIGCONT)
                p.kill()
        for e in self.engines.values():
            e.kill()
            e.wait()
        self.net.close()
        if not Options.keep:
            subprocess.run(["rm", "-rf", str(self.folder)], check=False)


def whole_after(results, end):
    """Seconds from the end of the harm until the last request began that was not answered well."""
    bad = [r["began"] for r in results if r["outcome"] != "ok"]
    return max([0.0, *(b - end for b in bad)])


def now():
    return time.monotonic()
