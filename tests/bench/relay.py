"""What one core carries of sealed traffic: our relay beside HAProxy and nginx, the same clients, the same
worker (bench-sealed, which has no key: none of the three could tell).

All take HTTP/1.1 from clients and speak HTTP/2 to the worker, in the clear.
"""
import os
import shutil
import statistics
import subprocess
import sys

PROXIES = ("nginx", "haproxy", "ours")
PASS_H2 = "grpc_pass grpc://engine; grpc_read_timeout 1h; grpc_buffer_size 16k;"
HAPROXY = """
global
  maxconn 4000
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend clients
  bind 127.0.0.1:{haproxy} backlog 4096
  default_backend worker
backend worker
  http-reuse always
  server one 127.0.0.1:{worker} proto h2 maxconn 4000
"""


def stand_of(bench):
    """The relay's stand, on the programs and the loads of the others."""
    class RelayStand(bench.Stand):
        def __init__(self, build, folder):
            super().__init__(build, folder)
            self.ports = {name: bench.free_port() for name in (*PROXIES, "worker")}
            self.hint = ""

        def open(self):
            p = self.ports
            self.start_worker()
            nginx = self.spawn_nginx(p["worker"], PASS_H2)
            conf = self.dir / "haproxy.cfg"
            conf.write_text(HAPROXY.format(**p))
            haproxy = self.spawn(bench.PROXY_CORE, shutil.which("haproxy") or "/usr/sbin/haproxy",
                                 "-db", "-f", conf)
            relay = self.spawn(bench.PROXY_CORE, self.build / "sealgate-gateway", "--mode", "relay",
                               "--listen", f"127.0.0.1:{p['ours']}", "--workers",
                               f"127.0.0.1:{p['worker']}", "--shards", 1, "--address-rate", 0,
                               "--address-streams", 0)
            for name in PROXIES:
                bench.wait_for(p[name], name)
            self.wait_until_ready(p["ours"])
            children = open(f"/proc/{nginx}/task/{nginx}/children").read().split()
            self.pids = {"nginx": [int(children[0])], "haproxy": [haproxy], "ours": [relay]}

        def start_worker(self):
            command = [str(self.build / "tests/bench/bench-sealed"), str(self.ports["worker"])]
            worker = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=self.dir, text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {bench.LOAD_CORE}))
            self.children.append(worker)
            self.hint = worker.stdout.readline().strip()
            if not self.hint:
                sys.exit("bench: bench-sealed does not start")

        def load_command(self, who, *options):
            return super().load_command(who, *options, "--sealed", self.hint)

    return RelayStand


LINES = (
    ("1 KB each way, 64 clients", "small", "answers", "request"),
    ("500 streams x 50 pieces/s", "paced", "events", "piece of 230 B"),
    ("50 streams unpaced", "unpaced", "events", "piece of 230 B"),
    ("384 KB requests, 8 clients", "big", "answers", "request"),
)


def measure(bench, build, folder, rounds, scale):
    rows = []
    with stand_of(bench)(build, folder) as stand:
        for n in range(rounds):
            row = {}
            for _, load, _, _ in LINES:
                print(f"\rrelay, round {n + 1} of {rounds}: {load:8}", end="", file=sys.stderr, flush=True)
                row[load] = {who: bench.LOADS[load](stand, who, scale) for who in PROXIES}
            rows.append(row)
    print("\r" + 40 * " " + "\r", end="", file=sys.stderr, flush=True)
    return rows


def show(bench, rows):
    """What a core carries is what a unit costs, turned round: the load's core is the one that is full."""
    print(f"\n{'relay: what one core carries, per s':46}{'nginx':>10}{'haproxy':>10}{'ours':>10}"
          f"{'/ nginx':>9}{'/ haproxy':>10}")
    for what, load, unit, of in LINES:
        def capacity(row, who, load=load, unit=unit):
            return 1e6 / bench.per(row[load][who], unit)
        most = {who: max(capacity(r, who) for r in rows) for who in PROXIES}
        ratios = [statistics.median(capacity(r, "ours") / capacity(r, other) for r in rows)
                  for other in ("nginx", "haproxy")]
        print(f"   {what + ', ' + of:43}{most['nginx']:>10,.0f}{most['haproxy']:>10,.0f}"
              f"{most['ours']:>10,.0f}{ratios[0]:>9.2f}{ratios[1]:>10.2f}")
    print("   piece to client p50, us (paced)            " + "".join(
        f"{statistics.median(r['paced'][who].get('lag_p50_us', 0) for r in rows):>10,.0f}" for who in PROXIES))
