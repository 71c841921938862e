"""Starts the programs under test on free ports in a folder of their own, and stops them by their id."""
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from client import Broken, Conn, PROMPT_CANARY, http, wait_for
from engine import ANSWER_CANARY, Engine
from options import Options

SANITIZER = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
             "WARNING: ThreadSanitizer", "UndefinedBehaviorSanitizer")


RESERVED = []  # until this process ends


def is_reserved(port):
    """Takes a port's name, an abstract socket, which only one of all tests that run here can have."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0sealgate-tests-port-{port}")
    except OSError:
        name.close()
        return True
    RESERVED.append(name)
    return False


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def take_build(folder):
    """The folder with the programs, as a command line names it."""
    Options.build = pathlib.Path(folder).resolve()
    if not (Options.build / "sealgate-gateway").exists():
        sys.exit(f"{Options.build}: there are no programs; build them first: "
                 "deploy/quickstart --build-only && ninja -C build")


def free_port():
    """A port that no other test gets, of this run or of one beside it, and that lies below those that the
    kernel gives to whoever connects."""
    first = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    low = 10000 if first > 12000 else 1024
    while True:
        port = random.randrange(low, first)
        if is_free(port) and not is_reserved(port):
            return port


def flags(settings):
    out = []
    for name, value in settings.items():
        if value is None:
            continue
        name = name.replace("_", "-")
        if isinstance(value, bool):
            out.append(f"--{name}" if value else f"--no-{name}")
        else:
            out += [f"--{name}={v}" for v in (value if isinstance(value, list) else [value])]
    return out


class Program:
    """A process and its log."""
    living = []

    def __init__(self, binary, arguments, folder, env=None, inside=()):
        """inside: a command that runs the program, such as one that enters a namespace first."""
        self.name = binary
        self.log_path = pathlib.Path(folder) / f"{binary}-{len(os.listdir(folder))}.log"
        path = Options.build / binary
        if not path.exists():
            path = Options.build / "tests" / "e2e" / binary
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([*inside, str(path), *arguments], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=folder,
                                            env={**os.environ, **(env or {})})
        self.pid = self.process.pid
        Program.living.append(self)

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        if self.alive():
            self.process.send_signal(number)

    def wait(self, seconds=60):
        try:
            status = self.process.wait(seconds * Options.patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not end within {seconds} s\n{self.log[-2000:]}")
        finally:
            if self in Program.living:
                Program.living.remove(self)
        return status

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self, seconds=60):
        """Ends it politely; it must have had no fault."""
        crashed = not self.alive()
        self.signal(signal.SIGTERM)
        status = self.wait(seconds)
        text = self.log
        faults = [text.index(w) for w in SANITIZER if w in text]
        assert not faults, f"{self.name}: {text[min(faults):][:12000]}"
        assert not crashed, f"{self.name} ended by itself ({status})\n{self.log[-3000:]}"
        assert status == 0, f"{self.name} ended with {status}\n{self.log[-3000:]}"

    def check(self):
        assert self.alive(), f"{self.name} ended with {self.process.returncode}\n{self.log[-4000:]}"


class Stack:
    """Engine, workers and a gateway, ready to be asked."""

    def __init__(self, workers=1, worker=None, gateway=None, engine=None, ready=True,
                 between=None, worker_binary="sealgate-worker", start_gateway=True, env=None,
                 gateway_binary="sealgate-gateway", gateway_env=None):
        """env: of all workers, or what says it for the i-th."""
        self.folder = tempfile.mkdtemp(prefix="sealgate-e2e-")
        self.own_engine = engine is None
        self.engine = engine or Engine()
        self.worker_settings = {"engine": self.engine.url, "drain_timeout": "20s",
                                "platform": "simulated", **(worker or {})}
        self.worker_binary = worker_binary
        self.env = env
        self.gateway_binary, self.gateway_env = gateway_binary, gateway_env
        self.workers, self.ports, self.proxies = [], [], []
        self.gateway = None
        self.port = free_port()
        try:
            for _ in range(workers):
                self.ports.append(free_port())
                self.workers.append(self.start_worker(len(self.ports) - 1))
            addresses = [f"127.0.0.1:{p}" for p in self.ports]
            if between is not None:
                self.proxies = [between(p) for p in self.ports]
                addresses = [f"127.0.0.1:{p.port}" for p in self.proxies]
            self.gateway_settings = {"workers": addresses, "policy": "simulated",
                                     "listen": f"127.0.0.1:{self.port}", "receipts": "receipts.db",
                                     "worker_timeout": "60s",
                                     **(gateway or {})}
            if start_gateway:
                self.start_gateway()
                if ready:
                    self.wait_ready()
        except BaseException:
            self.abandon()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.abandon()

    def start_worker(self, i, **more):
        settings = {"listen": f"127.0.0.1:{self.ports[i]}", "name": f"w{i}",
                    **self.worker_settings, **more}
        env = self.env(i) if callable(self.env) else self.env
        w = Program(self.worker_binary, flags(settings), self.folder, env)
        wait_for(lambda: is_open(self.ports[i]) or not w.alive())
        w.check()
        return w

    def start_gateway(self):
        self.gateway = Program(self.gateway_binary, flags(self.gateway_settings), self.folder,
                               self.gateway_env)
        wait_for(lambda: is_open(self.port) or not self.gateway.alive())
        self.gateway.check()

    def wait_ready(self):
        wait_for(self.is_ready)

    def wait_all_ready(self):
        """Ready in each of its shards: for gateways that hardly wait for a worker themselves."""
        self.wait_ready()
        wait_for(lambda: self.metric("sealgate_worker_connections", state="in_use") ==
                 self.shards() * self.metric("sealgate_workers_trusted"))

    def shards(self):
        line = next(x for x in self.gateway.log.splitlines() if '"event":"ready"' in x)
        return json.loads(line)["shards"]

    def is_ready(self):
        self.gateway.check()
        try:
            return http(self.port, "GET", "/readyz").status == 200
        except (OSError, Broken):
            return False

    def programs(self):
        return [p for p in [self.gateway, *self.workers] if p is not None]

    def check(self):
        for p in self.programs():
            p.check()
        assert not self.engine.mistakes, self.engine.mistakes

    def stop(self):
        """Politely; then nothing that was said may be found in what was written."""
        try:
            assert not self.engine.mistakes, self.engine.mistakes
            for p in self.programs():
                if p in Program.living:
                    p.stop()
            self.scan()
        finally:
            self.abandon()

    def scan(self):
        for path in pathlib.Path(self.folder).rglob("*"):
            data = path.read_bytes() if path.is_file() else b""
            for canary in (PROMPT_CANARY, ANSWER_CANARY):
                assert canary.encode() not in data, f"{path.name} holds what was said"
            for fault in SANITIZER:
                assert fault.encode() not in data, data[-6000:].decode(errors="replace")

    def abandon(self):
        for p in self.programs():
            if p in Program.living:
                p.kill()
        for p in self.proxies:
            p.close()
        if self.own_engine:
            self.engine.close()
        if not Options.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name, text):
        path = pathlib.Path(self.folder) / name
        path.write_text(text)
        return str(path)

    def conn(self, timeout=None):
        return Conn(self.port, timeout)

    def http(self, method, path, body=None, headers=(), timeout=None):
        return http(self.port, method, path, body, headers, timeout)

    def metric(self, name, **labels):
        """The sum of a metric over all lines that have these labels."""
        total, found = 0.0, False
        for line in self.http("GET", "/metrics").body.decode().splitlines():
            if (line.startswith(name + "{") or line.startswith(name + " ")) and all(
                    f'{k}="{v}"' in line for k, v in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
                found = True
        assert found, f"there is no metric {name} {labels}"
        return total


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def kill_all():
    for p in list(Program.living):
        p.process.kill()
        p.process.wait()
    Program.living.clear()


def run(binary, *arguments, env=None, seconds=60):
    """A program to its end: (status, output)."""
    done = subprocess.run([str(Options.build / binary), *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=seconds * Options.patience, env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.decode(errors="replace")
