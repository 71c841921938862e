#!/usr/bin/env python3
"""Starts the programs, asks them in turn, and prints a table. See tests/bench/run."""
import argparse
import json
import os
import pathlib
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import pool
import relay

PROXY_CORE, LOAD_CORE = 0, 1
EVENT_FOREVER = 1000000
OPEN_STREAMS = 1000
SCENARIOS = ("memory", "small", "paced", "unpaced", "first", "big", "relay", "pool", "parts",
             "verify")
NGINX = """
{user}
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx.log crit;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 1h;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  client_max_body_size 64m; client_body_buffer_size 1m;
  upstream engine {{
    server 127.0.0.1:{engine}; keepalive 2048; keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{nginx} backlog=4096;
    location / {{ {location} }}
  }}
}}
"""
PASS_HTTP = """proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 1h;"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, what, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    sys.exit(f"bench: {what} does not listen")


def rss_kb(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


class Stand:
    """The programs, each on its core, for as long as the stand is open."""

    def __init__(self, build, folder):
        self.build, self.dir = pathlib.Path(build).resolve(), folder
        self.children = []
        self.ports = {name: free_port() for name in ("engine", "nginx", "worker", "ours")}
        self.ports["direct"] = self.ports["engine"]

    def __enter__(self):
        try:
            self.open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.terminate()  # nginx takes its worker along
            try:
                child.wait(timeout=3)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def spawn(self, core, *command):
        out = open(self.dir / (pathlib.Path(command[0]).name + ".out"), "ab")
        child = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=out, cwd=self.dir,
                                 preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        self.children.append(child)
        return child.pid

    def open(self):
        p = self.ports
        self.spawn(LOAD_CORE, self.build / "tests/bench/bench-engine", p["engine"])
        wait_for(p["engine"], "the mock engine")
        nginx = self.spawn_nginx(p["engine"], PASS_HTTP)
        began = time.monotonic()
        worker = self.spawn(PROXY_CORE, self.build / "sealgate-worker", "--listen",
                            f"127.0.0.1:{p['worker']}", "--platform", "simulated",
                            "--engine", f"http://127.0.0.1:{p['engine']}")
        wait_for(p["worker"], "sealgate-worker")
        gateway = self.spawn(PROXY_CORE, self.build / "sealgate-gateway", "--listen",
                             f"127.0.0.1:{p['ours']}", "--workers", f"127.0.0.1:{p['worker']}",
                             "--policy", "simulated", "--shards", 1,
                             "--receipts", self.dir / "receipts.db")
        wait_for(p["ours"], "sealgate-gateway")
        self.wait_until_ready(p["ours"])
        self.cold_start_s = time.monotonic() - began
        children = open(f"/proc/{nginx}/task/{nginx}/children").read().split()
        self.pids = {"direct": [], "nginx": [int(children[0])], "ours": [gateway, worker]}

    def spawn_nginx(self, upstream, location):
        conf = self.dir / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        conf.write_text(NGINX.format(dir=self.dir, user=user, engine=upstream, nginx=self.ports["nginx"],
                                     location=location))
        nginx = self.spawn(PROXY_CORE, shutil.which("nginx") or "/usr/sbin/nginx", "-c", conf,
                           "-e", self.dir / "nginx.log")
        wait_for(self.ports["nginx"], "nginx")
        return nginx

    @staticmethod
    def wait_until_ready(port):
        for _ in range(1000):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                    return
            except OSError:
                time.sleep(0.01)
        sys.exit("bench: the gateway does not become ready")

    def load_command(self, who, *options):
        command = [self.build / "tests/bench/bench-load", "--port", self.ports[who], *options]
        for pid in self.pids[who]:
            command += ["--pid", pid]
        return ["taskset", "-c", str(LOAD_CORE), *map(str, command)]

    def load(self, who, *options):
        done = subprocess.run(self.load_command(who, *options), stdout=subprocess.PIPE, check=True)
        time.sleep(0.3)
        result = json.loads(done.stdout)
        if result["errors"]:
            print(f"bench: {who} {' '.join(map(str, options))}: {result['errors']} errors, such as "
                  f"\"{result['error']}\"", file=sys.stderr)
        return result

    def hold(self, who, n):
        """What each of its processes grows by while n silent streams are open."""
        before = [rss_kb(pid) for pid in self.pids[who]]
        held = subprocess.Popen(
            self.load_command(who, "--clients", n, "--mock", "n=1 hold=1", "--hold"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        word = held.stdout.readline().strip()
        time.sleep(0.5)
        after = [rss_kb(pid) for pid in self.pids[who]]
        held.communicate()
        if word != "open":
            print(f"bench: {who}: {n} streams: {word}", file=sys.stderr)
        return before, after


# ---- scenarios: each gives one result of a load ----

def small(stand, who, scale):
    return stand.load(who, "--clients", 64, "--body", 1024, "--warm", int(500 * scale),
                      "--measure", int(2500 * scale))


def paced(stand, who, scale):
    return stand.load(who, "--clients", 500, "--mock", f"n={EVENT_FOREVER} gap=20", "--stagger",
                      1000, "--warm", int(1000 * scale), "--measure", int(4000 * scale))


def unpaced(stand, who, scale):
    return stand.load(who, "--clients", 50, "--mock", f"n={EVENT_FOREVER} gap=0", "--warm",
                      int(700 * scale), "--measure", int(2500 * scale))


def first(stand, who, scale):
    return stand.load(who, "--clients", 20, "--mock", "n=20 gap=20", "--stagger", 400, "--warm",
                      int(500 * scale), "--measure", int(5000 * scale))


def big(stand, who, scale):
    return stand.load(who, "--clients", 8, "--body", 384 * 1024, "--warm", int(500 * scale),
                      "--measure", int(2000 * scale))


LOADS = {"small": small, "paced": paced, "unpaced": unpaced, "first": first, "big": big}


def measure_rounds(stand, names, rounds, scale):
    runs = []
    for n in range(rounds):
        row = {}
        for name in names:
            print(f"\rround {n + 1} of {rounds}: {name:8}", end="", file=sys.stderr, flush=True)
            row[name] = {who: LOADS[name](stand, who, scale) for who in ("direct", "nginx", "ours")}
        runs.append(row)
    print("\r" + 40 * " " + "\r", end="", file=sys.stderr, flush=True)
    return runs


# ---- numbers ----

def per(result, unit):
    return sum(result["cpu_ns"]) / 1000 / max(result[unit], 1)


def each(result, unit):
    return [ns / 1000 / max(result[unit], 1) for ns in result["cpu_ns"]]


def rate(result, unit):
    return result[unit] * 1e6 / result["us"]


class Table:
    def __init__(self, runs):
        self.runs, self.met, self.bars = runs, 0, 0

    def median(self, scenario, who, what):
        return statistics.median(what(r[scenario][who]) for r in self.runs)

    def least(self, scenario, who, what):
        """Of CPU times, to which other work on the machine can only add."""
        return min(what(r[scenario][who]) for r in self.runs)

    def ratio(self, scenario, what):
        """The median of the rounds' own ratios, ours to nginx."""
        return statistics.median(what(r[scenario]["ours"]) / max(what(r[scenario]["nginx"]), 1e-9)
                                 for r in self.runs)

    def added(self, scenario, key):
        def of(row, who):
            return row[scenario][who].get(key, 0) - row[scenario]["direct"].get(key, 0)
        return (statistics.median(of(r, "nginx") for r in self.runs),
                statistics.median(of(r, "ours") for r in self.runs),
                statistics.median(of(r, "ours") / max(of(r, "nginx"), 1) for r in self.runs))

    def bar(self, value, relation, limit, unit=""):
        met = value <= limit if relation == "<=" else value >= limit
        self.bars += 1
        self.met += met
        return f"{relation} {limit:g}{unit}: {'met' if met else 'NOT MET'}"

    @staticmethod
    def head():
        print(f"{'':46}{'direct':>10}{'nginx':>10}{'ours':>10}{'ratio':>8}  bar")

    @staticmethod
    def line(what, direct, nginx, ours, ratio=None, bar="", digits=1):
        def show(value, d=digits):
            return "" if value is None else f"{value:,.{d}f}"
        print(f"{what:46}{show(direct):>10}{show(nginx):>10}{show(ours):>10}"
              f"{show(ratio, 2):>8}  {bar}")

    def hops(self, scenario, unit):
        best = min((r[scenario]["ours"] for r in self.runs), key=lambda r: per(r, unit))
        parts = each(best, unit)
        print(f"{'   of which gateway / worker':46}{parts[0]:>30.1f} /{parts[1]:6.1f}")

    def cpu(self, what, scenario, unit, bar):
        value, ratio = (self.least(scenario, "ours", lambda r: per(r, unit)),
                        self.ratio(scenario, lambda r: per(r, unit)))
        self.line(what, None, self.least(scenario, "nginx", lambda r: per(r, unit)), value, ratio,
                  bar(value, ratio))
        self.hops(scenario, unit)

    def rate(self, what, scenario, unit, bar=lambda ratio: ""):
        values = [self.median(scenario, who, lambda r: rate(r, unit))
                  for who in ("direct", "nginx", "ours")]
        ratio = self.ratio(scenario, lambda r: rate(r, unit))
        self.line(what, *values, ratio, bar(ratio), 0)

    def latency(self, what, scenario, key, bar=lambda ratio: ""):
        nginx, ours, ratio = self.added(scenario, key)
        self.line(what, self.median(scenario, "direct", lambda r: r.get(key, 0)), nginx, ours,
                  ratio, bar(ratio), 0)

    def show(self, names):
        if "small" in names:
            self.cpu("small request, CPU us", "small", "answers",
                     lambda v, _: self.bar(v, "<=", 260, " us"))
            self.rate("small requests/s, 64 clients", "small", "answers")
        if "paced" in names:
            self.cpu("500 streams x 50/s, CPU us per event", "paced", "events",
                     lambda _, r: self.bar(r, "<=", 1.6))
            self.rate("   events/s", "paced", "events")
            self.latency("   time from engine to client p50, added us", "paced", "lag_p50_us")
            self.latency("   time from engine to client p99, added us", "paced", "lag_p99_us")
        if "unpaced" in names:
            self.rate("50 streams unpaced, tokens/s", "unpaced", "events",
                      lambda r: self.bar(r, ">=", 0.9))
            self.cpu("   CPU us per token", "unpaced", "events", lambda *_: "")
        if "first" in names:
            self.latency("first token of 20 streams p50, added us", "first", "first_p50_us",
                         lambda r: self.bar(r, "<=", 3.5))
            self.latency("   p99, added us", "first", "first_p99_us")
            self.latency("   between events p99, added us", "first", "gap_p99_us")
        if "big" in names:
            self.rate("384 KB requests/s, 8 clients", "big", "answers",
                      lambda r: self.bar(r, ">=", 0.3))
            self.cpu("   CPU us per request", "big", "answers", lambda *_: "")


def show_memory(stand, table):
    def mb(kb):
        return kb / 1024
    before, after = stand.hold("ours", OPEN_STREAMS)
    nginx_before, nginx_after = stand.hold("nginx", OPEN_STREAMS)
    print(f"cold start until ready: {stand.cold_start_s * 1000:.0f} ms")
    for i, name in enumerate(("gateway", "worker")):
        Table.line(f"RSS idle, {name}, MB", None, mb(nginx_before[0]), mb(before[i]), None,
                   table.bar(mb(before[i]), "<=", 15, " MB"))
    grown = [(a - b) / OPEN_STREAMS for a, b in zip(after, before)]
    nginx = (nginx_after[0] - nginx_before[0]) / OPEN_STREAMS
    for name, kb in zip(("gateway", "worker"), grown):
        Table.line(f"RSS per open stream (of {OPEN_STREAMS}), {name}, KB", None, nginx, kb,
                   kb / max(nginx, 0.1), table.bar(kb, "<=", 40, " KB"))
    return {"idle_kb": before, "open_kb": after, "nginx_kb": [nginx_before, nginx_after]}


PARTS = (
    ("encapsulate", "HPKE encapsulation, per request (gateway)"),
    ("decapsulate", "HPKE decapsulation, per request (worker)"),
    ("seal_and_open_1k_both_ways", "sealing, all of it: 1 KB each way, both ends"),
    ("receipt_issue", "receipt: CBOR and Ed25519 (worker)"),
    ("receipt_verify", "receipt verification (gateway)"),
    ("store_alone", "receipt stored alone, CPU"),
    ("store_alone_wall", "receipt stored alone, until durable"),
    ("store_batch_of_64", "receipt stored among 64, CPU each"),
    ("seal_and_open_event", "event of 230 B sealed and opened"),
    ("transcript_event", "event of 230 B hashed, per end"),
    ("seal_and_open_384k", "384 KB sealed and opened, but for the keys"),
    ("sha256_384k", "384 KB hashed, per end, alone"),
    ("sha256_384k_two", "384 KB hashed twice, at once"),
    ("peek_384k", "384 KB of JSON checked, per end"),
)


def show_parts(build, folder):
    program = pathlib.Path(build).resolve() / "tests/bench/bench-parts"
    done = subprocess.run(["taskset", "-c", str(PROXY_CORE), str(program), str(folder / "parts.db")],
                          stdout=subprocess.PIPE, check=True)
    parts = json.loads(done.stdout)
    print("\nprice list, us of CPU unless said")
    for key, what in PARTS:
        print(f"   {what:50}{parts[key]:>9.2f}")
    return parts


# What others publish for one verification, each on a machine of its own: to be read beside ours, not
# as a race. 13 to 15 ms: tng, issue 218. 1.9 to 3.0 ms: EphemeralML's notes of February 2026.
VERIFIERS = (
    ("tdx", "Intel TDX, quote v4 and collateral", "13 to 15"),
    ("sev_snp", "AMD SEV-SNP, chain and list (RSA-4096)", ""),
    ("azure_sev_snp", "the same below Azure's paravisor, TPM quote", ""),
    ("nitro", "AWS Nitro, five certificates (P-384)", "1.9 to 3.0"),
    ("nvidia", "one NVIDIA GPU, 3 OCSP answers, 2 manifests", ""),
    ("ecdsa_p256", "one signature, ECDSA P-256", ""),
    ("ecdsa_p384", "one signature, ECDSA P-384", ""),
)


def show_verify(build):
    vectors = pathlib.Path(os.environ.get("SEALGATE_VECTORS") or
                           pathlib.Path(__file__).resolve().parents[3] / "shared/vectors")
    if not (vectors / "attest").is_dir():
        print(f"\nSKIPPED: verify: no genuine evidence in {vectors}/attest; SEALGATE_VECTORS names it")
        return None
    program = pathlib.Path(build).resolve() / "tests/bench/bench-verify"
    done = subprocess.run(["taskset", "-c", str(PROXY_CORE), str(program), str(vectors / "attest")],
                          stdout=subprocess.PIPE, check=True)
    times = json.loads(done.stdout)
    print(f"\n{'one verification of genuine evidence, ms of CPU':53}{'ours':>8}   others say")
    for key, what, others in VERIFIERS:
        print(f"   {what:50}{times[key] / 1000:>8.2f}   {others}".rstrip())
    return times


def main():
    ask = argparse.ArgumentParser(prog="tests/bench/run")
    ask.add_argument("--build", required=True)
    ask.add_argument("--quick", action="store_true")
    ask.add_argument("--rounds", type=int, default=5)
    ask.add_argument("--only", action="append", choices=SCENARIOS)
    ask.add_argument("--json")
    args = ask.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    names = args.only or SCENARIOS
    rounds, scale = (1, 0.4) if args.quick else (args.rounds, 1)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    if os.cpu_count() < 2:
        sys.exit("bench: needs two cores")
    print(f"load average before: {os.getloadavg()[0]:.1f}; {rounds} rounds"
          f"{', quick: not to be quoted' if args.quick else ''}")
    result = {}
    with tempfile.TemporaryDirectory(prefix="sealgate-bench-") as name:
        folder = pathlib.Path(name)
        loads = [n for n in LOADS if n in names]
        table = Table([])
        table.head()
        if "memory" in names:
            with Stand(args.build, folder) as stand:
                result["memory"] = show_memory(stand, table)
        if loads:
            with Stand(args.build, folder) as stand:
                table.runs = result["rounds"] = measure_rounds(stand, loads, rounds, scale)
            table.show(loads)
        if "relay" in names:
            bench = sys.modules[__name__]
            result["relay"] = relay.measure(bench, args.build, folder, rounds, scale)
            relay.show(bench, result["relay"])
        if "pool" in names:
            bench = sys.modules[__name__]
            result["pool"] = pool.measure(bench, args.build, folder, rounds, scale)
            pool.show(bench, result["pool"])
        if "parts" in names:
            result["parts"] = show_parts(args.build, folder)
        if "verify" in names:
            result["verify"] = show_verify(args.build)
    print(f"\n{table.met} of {table.bars} bars met")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(result, indent=1))


main()
