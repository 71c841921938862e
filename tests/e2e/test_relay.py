"""The gateway as a relay: it passes sealed requests on, and can do nothing else"""
import concurrent.futures
import contextlib
import hashlib
import json
import pathlib
import signal
import socket
import struct
import threading
import time
from http.client import HTTPConnection

from chaos_attacks import END_HEADERS, END_STREAM, frame, greeting
from client import Conn, PROMPT_CANARY, chat, chat_body, hangs_s, http, wait_for
from engine import ANSWER_CANARY
from proxy import DATA, HEADERS, PREFACE, RST, Cut, Proxy, frames_of
from stack import Options, Program, Stack, flags, free_port, is_open
from suite import test

SEALED = "/.well-known/ohttp-gateway"
MEDIA = ("content-type", "message/ohttp-chunked-req")


@contextlib.contextmanager
def relayed(workers=1, relay=None, gateway=None, worker=None, between=None):
    """SDK - gateway - relay - workers. `between` stands between the relay and its clients."""
    with Stack(workers=workers, worker=worker, start_gateway=False) as s:
        s.relay_port, s.relay_h2 = free_port(), free_port()
        s.relay_settings = {"mode": "relay", "listen": f"127.0.0.1:{s.relay_port}",
                            "listen_h2": f"127.0.0.1:{s.relay_h2}",
                            "workers": [f"127.0.0.1:{p}" for p in s.ports], **(relay or {})}
        s.relay = start_relay(s)
        s.proxies = [between(s.relay_h2)] if between else []
        s.gateway_settings["workers"] = [f"127.0.0.1:{s.proxies[0].port if between else s.relay_h2}"]
        s.gateway_settings.update(gateway or {})
        if gateway is not False:
            s.start_gateway()
            s.wait_ready()
        try:
            yield s
            s.relay.check()
            if s.gateway is not None:
                s.gateway.stop()
            s.relay.stop()
        finally:
            if s.relay in Program.living:
                s.relay.kill()


def start_relay(s):
    relay = Program("sealgate-gateway", flags(s.relay_settings), s.folder)
    wait_for(lambda: is_open(s.relay_h2) or not relay.alive())
    relay.check()
    wait_for(lambda: http(s.relay_port, "GET", "/readyz").status == 200)
    return relay


def metric(s, name, **labels):
    total = 0
    for line in http(s.relay_port, "GET", "/metrics").body.decode().splitlines():
        if line.startswith(name) and all(f'{k}="{v}"' in line for k, v in labels.items()):
            total += int(float(line.rsplit(" ", 1)[1]))
    return total


def sealed_body(link):
    """A sealed request as the gateway sent it, out of what went by."""
    frames, _rest = frames_of(link.to_worker[len(PREFACE):])
    body = b""
    for f in frames:
        if f.kind == DATA and f.stream == min(link.sealed):
            body += f.payload
    return body


@test("answers, streams, tools and models come through a relay, each with a receipt that holds")
def _():
    with relayed() as s:
        assert chat(s.port, "gpt-test").complete
        a = chat(s.port, "words-20-5", True)
        assert a.status == 200 and a.complete and a.body.rstrip().endswith(b"[DONE]")
        receipt = s.http("GET", f"/v1/receipts/{a.header('x-receipt-id')}")
        assert receipt.status == 200, receipt.body
        assert s.http("GET", "/v1/models").status == 200
        wait_for(lambda: metric(s, "sealgate_relay_requests_total", kind="sealed", end="complete") == 3)
        assert metric(s, "sealgate_relay_requests_total", end="broken_off") == 0


@test("tokens come one by one through a relay, while the engine is still speaking")
def _():
    with relayed() as s, s.conn() as c:
        held = c.ask("POST", "/v1/chat/completions", chat_body("gate-relay", True))
        assert held.status == 200
        s.engine.release["relay"] = True
        assert c.rest(held).complete


@test("the relay has seen and written nothing of what was said")
def _():
    with relayed(between=Proxy) as s:
        assert chat(s.port, "gpt-test").complete
        seen = b"".join(l.to_worker + l.to_gateway for l in s.proxies[0].links)
        assert len(seen) > 3000
        for word in (PROMPT_CANARY, ANSWER_CANARY):
            assert word.encode() not in seen and word not in s.relay.log


@test("a relay refuses what is not sealed, unread, and says what to do")
def _():
    with relayed() as s:
        body = chat_body("gpt-test")
        a = http(s.relay_port, "POST", "/v1/chat/completions", body)
        assert a.status == 403 and a.error["code"] == "seal_required", a.body
        a = http(s.relay_port, "GET", "/v1/models")
        assert a.status == 403, a.body
        assert http(s.relay_port, "GET", "/admin").status == 404
        a = http(s.relay_port, "GET", "/v1/ohttp")
        assert a.status == 405 and a.header("allow") == "POST"
        assert not s.engine.calls
        assert metric(s, "sealgate_relay_refused_total", cause="not_sealed") >= 4
        assert PROMPT_CANARY not in s.relay.log


@test("sealed requests come in over HTTP/1.1 as well, whole or in pieces, and are answered sealed")
def _():
    with relayed(between=Proxy, gateway={"shards": "1"}) as s:
        assert chat(s.port, "plain-first").status == 200
        body = sealed_body([l for l in s.proxies[0].links if l.sealed][0])
        # The worker has seen it: the answer is sealed, and says no more than that
        a = http(s.relay_port, "POST", SEALED, body, [MEDIA])
        assert a.status == 200 and a.header("content-type") == "message/ohttp-chunked-res", a.body
        assert a.complete and len(a.body) > 32
        with Conn(s.relay_port) as c:
            c.sock.sendall(f"POST {SEALED} HTTP/1.1\r\nhost: x\r\n{MEDIA[0]}: {MEDIA[1]}\r\n"
                           "transfer-encoding: chunked\r\n\r\n".encode())
            for at in range(0, len(body), 100):
                piece = body[at:at + 100]
                c.sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            c.sock.sendall(b"0\r\n\r\n")
            a = c.rest(c.head())
            assert a.status == 200 and a.complete and len(a.body) > 32, a.body
        assert len(s.engine.of("plain-first")) == 1


@test("the key list and evidence are passed on, and garbage gets the worker's own refusal")
def _():
    with relayed() as s:
        a = http(s.relay_port, "GET", SEALED)
        assert a.status == 200 and a.header("content-type") == "application/ohttp-keys"
        direct = a.body
        a = http(s.relay_port, "GET", SEALED + "?format=bare")
        assert a.status == 200 and a.body == direct[2:2 + len(a.body)]
        receipt = s.http("GET", "/v1/receipts/" +
                         chat(s.port, "gpt-test").header("x-receipt-id")).json
        a = http(s.relay_port, "GET", "/attestation/" + receipt["evidence_sha256"])
        assert a.status == 200, a.body
        assert hashlib.sha256(a.body).hexdigest() == receipt["evidence_sha256"]
        assert http(s.relay_port, "GET", "/attestation/" + "0" * 64).status == 404
        a = http(s.relay_port, "POST", SEALED, b"\x00" * 100, [MEDIA])
        assert a.status in (400, 422), a.status
        a = http(s.relay_port, "POST", SEALED, b"", [MEDIA])
        assert a.status == 400, a.status


@test("with three workers a request reaches the one whose key it is sealed to, and evidence is found")
def _():
    with relayed(workers=3, gateway={"refresh": "1s"}) as s:
        for i in range(30):
            a = chat(s.port, f"plain-{i}")
            assert a.status == 200 and a.complete, a.body
        receipt = s.http("GET", f"/v1/receipts/{a.header('x-receipt-id')}").json
        assert http(s.relay_port, "GET",
                    "/attestation/" + receipt["evidence_sha256"]).status == 200
        assert all(len(s.engine.of(f"plain-{i}")) == 1 for i in range(30))


@test("a worker behind a relay that dies in the middle never looks finished; then the other serves")
def _():
    with relayed(workers=2, gateway={"refresh": "1s"}) as s, s.conn() as c:
        held = c.ask("POST", "/v1/chat/completions", chat_body("gate-dies", True))
        for w in s.workers:
            w.kill()
        a = c.rest(held)
        assert not a.complete or b'"error"' in a.body, a.body[-300:]
        assert b"[DONE]" not in a.body
        s.engine.release["dies"] = True
        s.workers[1] = s.start_worker(1)
        wait_for(lambda: chat(s.port, "gpt-test").status == 200)
        s.workers[0] = s.start_worker(0)


@test("a worker behind a relay that dies before its answer may have asked the engine: no resend")
def _():
    with relayed(workers=2, gateway={"refresh": "1s"}) as s:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answer = pool.submit(chat, s.port, "silent-behind", True)
            wait_for(lambda: s.engine.of("silent-behind"))
            for w in s.workers:
                w.kill()
            a = answer.result()
        assert a.status == 502 and a.error["code"] == "upstream_broken", (a.status, a.body)
        s.workers = [s.start_worker(0), s.start_worker(1)]
        wait_for(lambda: chat(s.port, "gpt-test").status == 200)
        assert len(s.engine.of("silent-behind")) == 1


@test("a client that leaves frees the engine through a relay, too")
def _():
    with relayed() as s:
        with s.conn() as c:
            c.ask("POST", "/v1/chat/completions", chat_body("gate-leaves", True))
            wait_for(lambda: s.engine.of("gate-leaves"))
        wait_for(lambda: s.engine.of("gate-leaves")[0].gone)


@test("a relay's tokens are asked for, not passed on, and limited")
def _():
    with relayed(gateway=False) as s:
        s.relay.stop()
        digest = hashlib.sha256(b"relay-token").hexdigest()
        s.relay_settings.update(tokens_file=s.write("tokens", f"{digest} ann\n"), token_rate="1")
        s.relay = start_relay(s)
        token = ("authorization", "Bearer relay-token")
        assert http(s.relay_port, "GET", SEALED).status == 401
        a = http(s.relay_port, "GET", SEALED, None, [("authorization", "Bearer wrong")])
        assert a.status == 401
        assert http(s.relay_port, "GET", SEALED, None, [token]).status == 200
        answers = [http(s.relay_port, "GET", SEALED, None, [token]) for _ in range(40)]
        late = [a for a in answers if a.status == 429]
        assert late and {a.status for a in answers} <= {200, 429}
        assert all(a.header("retry-after") == "1" for a in late)
        assert http(s.relay_port, "GET", "/healthz").status == 200
        assert "relay-token" not in s.relay.log


@test("one address has only so many requests under way at a relay, and another has its own")
def _():
    with relayed(gateway=False, relay={"address_streams": "2"}) as s:
        head = (f"POST {SEALED} HTTP/1.1\r\nhost: x\r\n{MEDIA[0]}: {MEDIA[1]}\r\n"
                "content-length: 1000\r\n\r\n").encode()
        with Conn(s.relay_port) as a, Conn(s.relay_port) as b:
            a.sock.sendall(head)
            b.sock.sendall(head)
            wait_for(lambda: b"requests_in_flight 3\n" in from_elsewhere(s))
            with Conn(s.relay_port) as c:
                c.sock.sendall(head + bytes(1000))
                assert c.head().status == 429
        wait_for(lambda: http(s.relay_port, "GET", SEALED).status == 200)


def from_elsewhere(s):
    """The metrics, asked for from another address."""
    with socket.create_connection(("127.0.0.1", s.relay_port), 30, ("127.0.0.2", 0)) as c:
        c.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        return b"".join(iter(lambda: c.recv(65536), b""))


@test("large bodies pass a relay both ways, and a slow reader fills nobody's memory")
def _():
    with relayed() as s:
        big = "x" * (8 << 20)
        a = http(s.port, "POST", "/v1/chat/completions",
                 chat_body("big-3000", False, prompt=big))
        assert a.status == 200 and a.complete, a.status
        before = rss(s.relay)
        with s.conn() as c:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            held = c.ask("POST", "/v1/chat/completions", chat_body("endless", True))
            time.sleep(1)
            assert rss(s.relay) - before < 8 << 20, (before, rss(s.relay))
            assert held.status == 200


def rss(program):
    for line in pathlib.Path(f"/proc/{program.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


@test("hundreds of streams at once pass a relay, over few connections")
def _():
    with relayed(workers=2) as s:
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(lambda i: chat(s.port, "words-20-2", True), range(300)))
        assert all(a.status == 200 and a.complete for a in answers)


@test("a relay speaks TLS on both of its listeners")
def _():
    from test_http import certificate
    import ssl
    with relayed(gateway=False) as s:
        cert, key = certificate(s)
        s.relay.stop()
        s.relay_settings.update(tls_cert=cert, tls_key=key,
                                listen_h2=f"tls://127.0.0.1:{s.relay_h2}")
        s.relay = Program("sealgate-gateway", flags(s.relay_settings), s.folder)
        wait_for(lambda: is_open(s.relay_h2) or not s.relay.alive())
        tls = ssl.create_default_context(cafile=cert)
        with Conn(s.relay_port, tls=tls) as c:
            assert c.get("GET", "/healthz").status == 200
        s.gateway_settings["workers"] = [f"tls://localhost:{s.relay_h2}"]
        s.gateway_settings["worker_ca"] = cert
        s.start_gateway()
        s.wait_ready()
        assert chat(s.port, "gpt-test").status == 200


@test("a relay that ends lets a running stream finish")
def _():
    with relayed() as s:
        with s.conn() as c:
            held = c.ask("POST", "/v1/chat/completions", chat_body("gate-drain", True))
            ending = threading.Thread(target=s.relay.stop)
            ending.start()
            wait_for(lambda: "draining" in s.relay.log)
            s.engine.release["drain"] = True
            assert c.rest(held).complete
        ending.join()
        s.relay = start_relay(s)


@test("settings of one mode are refused in the other, and a relay needs no policy")
def _():
    from stack import run
    code, text = run("sealgate-gateway", "--listen-h2", "127.0.0.1:1", "--policy", "simulated")
    assert code == 1 and "listen-h2" in text and "relay" in text, text
    code, text = run("sealgate-gateway", "--mode", "relay", "--token-rate", "5")
    assert code == 1 and "tokens_file" in text, text
    code, text = run("sealgate-gateway", "--mode", "relay", "--listen-h2", "tls://127.0.0.1:1")
    assert code == 1 and "listen-h2" in text and "tls_cert" in text, text


@test("keys with rules of their own are refused by a relay, which could not keep to them")
def _():
    from stack import run
    with relayed(gateway=False) as s:
        digest = hashlib.sha256(b"t").hexdigest()
        plain = s.write("plain", f'{{"sha256": "{digest}", "name": "ann"}}\n')
        ruled = s.write("ruled", f'{{"sha256": "{digest}", "name": "ann", "concurrency": 1}}\n')
        code, text = run("sealgate-gateway", "--mode", "relay", "--tokens-file", ruled,
                         "--listen", f"127.0.0.1:{free_port()}")
        assert code == 1 and "rules" in text and "token_rate" in text, text
        s.relay.stop()
        s.relay_settings["tokens_file"] = plain
        s.relay = start_relay(s)


@test("a relay outlives SIGHUP, and says that it reads no settings anew")
def _():
    with relayed() as s:
        s.relay.signal(signal.SIGHUP)
        wait_for(lambda: "start it anew" in s.relay.log)
        assert chat(s.port, "gpt-test").complete

def ask_for_evidence(port, source):
    c = HTTPConnection("127.0.0.1", port, timeout=hangs_s(), source_address=(source, 0))
    try:
        c.request("POST", "/attestation", json.dumps({"nonce": "AAECAwQFBgcICQoLDA0ODw"}),
                  {"content-type": "application/json"})
        answer = c.getresponse()
        answer.read()
        return answer.status
    finally:
        c.close()


@test("one who asks for evidence through a relay for ever leaves others theirs")
def _():
    with relayed(relay={"shards": "1"}, gateway=False) as s:
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            greedy = list(pool.map(lambda _: ask_for_evidence(s.relay_port, "127.0.0.2"), range(40)))
        most = 4 + 2 * (time.monotonic() - began)  # two a second, and two seconds' worth saved up
        assert set(greedy) == {200, 429} and greedy.count(200) <= most, (greedy, most)
        assert ask_for_evidence(s.relay_port, "127.0.0.3") == 200


@contextlib.contextmanager
def watched(**settings):
    """A relay with one worker, which it reaches through s.way."""
    with relayed(gateway=False) as s:
        s.relay.stop()
        s.way = Proxy(s.ports[0])
        s.proxies.append(s.way)
        s.relay_settings.update(workers=[f"127.0.0.1:{s.way.port}"], worker_ping="10m", **settings)
        s.relay = start_relay(s)
        yield s


def connections(s, state):
    return metric(s, "sealgate_worker_connections", state=state)


def until_said(s, words, times=1):
    """In the relay's log, which is written behind what it is about."""
    wait_for(lambda: s.relay.log.count(words) >= times)
    assert s.relay.log.count(words) == times, s.relay.log


@test("a relay is ready when all of its shards are, whichever of them is asked")
def _():
    with watched(shards="2") as s:
        assert connections(s, "in_use") == 2
        s.way.refuse = True
        s.way.links[0].close()
        wait_for(lambda: connections(s, "in_use") == 1)
        answers = [http(s.relay_port, "GET", "/readyz") for _ in range(40)]
        assert all(a.status == 503 and a.json["ready"] is False for a in answers)
        until_said(s, "worker's connection lost")
        s.way.refuse = False
        wait_for(lambda: http(s.relay_port, "GET", "/readyz").status == 200)
        assert connections(s, "in_use") == 2
        until_said(s, '"event":"worker connected"', 3)


@test("a relay's operator is told which worker was taken out and why, and that it is in use again")
def _():
    def cut(_link, _frame):
        s.way.on_request = None
        raise Cut

    with watched(shards="1", worker_failures="1", worker_out="1h", worker_out_max="1h") as s:
        until_said(s, f'"event":"worker found","worker":0,"address":"127.0.0.1:{s.way.port}"')
        sealed = b"\x00\x00\x20" + bytes(97)  # by its looks
        s.way.on_request = cut
        assert http(s.relay_port, "POST", SEALED, sealed, [MEDIA]).status == 502
        until_said(s, '"event":"worker taken out","worker":0,"for":"failures"')
        # Two answers bring it back: of the list that is read when it is connected again, and to a request
        wait_for(lambda: http(s.relay_port, "POST", SEALED, sealed, [MEDIA]).status in (400, 422) and
                 connections(s, "in_use") == 1)
        until_said(s, '"event":"worker in use again","worker":0}')
        until_said(s, "worker taken out")
        assert metric(s, "sealgate_worker_outs_total", state="open") == 1
        assert connections(s, "open") == connections(s, "half_open") == 0


def ask_unread(port, path, n):
    """n questions on one connection that takes no answer: how many were refused, once all were told."""
    head = b"\x82\x86\x04" + bytes([len(path)]) + path + b"\x41\x01x"
    with socket.create_connection(("127.0.0.1", port), 20 * Options.patience) as s:
        s.sendall(greeting(struct.pack(">HI", 4, 0)))  # SETTINGS_INITIAL_WINDOW_SIZE
        s.sendall(b"".join(frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, head) for i in range(n)))
        data, told = b"", {}
        while len(told) < n:
            piece = s.recv(65536)
            assert piece, (len(told), n)
            data += piece
            frames, data = frames_of(data)
            for f in frames:
                if f.kind in (HEADERS, RST):
                    told[f.stream] = f.kind
                    assert f.kind == HEADERS or f.payload == struct.pack(">I", 7), f.payload
    return sum(kind == RST for kind in told.values())


@test("what is not read takes so much of a connection and no more, at a relay and at a worker", 30)
def _():
    with relayed(gateway=False) as s:
        for port in (s.relay_h2, s.ports[0]):
            # Pages are taken to need 4 KiB each at the least, and there is 1 MiB.
            assert ask_unread(port, b"/healthz", 200) == 0
            refused = ask_unread(port, b"/healthz", 300)
            assert 300 - 256 <= refused <= 300 - 250, refused
            assert ask_unread(port, b"/healthz", 200) == 0
