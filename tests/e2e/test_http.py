"""The gateway's HTTP: what it accepts, what it refuses, and how"""
import hashlib
import ssl
import subprocess

import common
from client import Broken, Conn, chat, chat_body, http, request_bytes, wait_for
from stack import Stack
from suite import test

MIB = 1024 * 1024


def stack():
    return common.shared("http", gateway={"hosts": "gateway.example",
                                          "cors_origins": "https://chat.example"})


def finish():
    common.finish("http")


def raw(data, s=None):
    """The answers to raw bytes, and whether the connection was closed after them."""
    s = s or stack()
    out = []
    with s.conn() as c:
        c.send(data)
        try:
            while True:
                out.append(c.rest(c.head()))
        except (Broken, TimeoutError, AssertionError):
            pass
        closed = True
        try:
            c.sock.settimeout(0.3)
            closed = c.sock.recv(1) == b""
        except TimeoutError:
            closed = False
        except ConnectionError:
            pass
    return out, closed


HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
HIDDEN = b"GET /v1/models?hidden HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
N = str(len(HIDDEN)).encode()

SMUGGLED = {
    "Content-Length and Transfer-Encoding":
        HEAD + b"Content-Length: " + N + b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "Transfer-Encoding and Content-Length":
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two different Content-Lengths":
        HEAD + b"Content-Length: 0\r\nContent-Length: " + N + b"\r\n\r\n" + HIDDEN,
    "two equal Content-Lengths":
        HEAD + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a list of Content-Lengths": HEAD + b"Content-Length: 0, 0\r\n\r\n" + HIDDEN,
    "a negative Content-Length": HEAD + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a Content-Length with a plus": HEAD + b"Content-Length: +0\r\n\r\n" + HIDDEN,
    "a hexadecimal Content-Length": HEAD + b"Content-Length: 0x0\r\n\r\n" + HIDDEN,
    "a huge Content-Length": HEAD + b"Content-Length: 18446744073709551617\r\n\r\n" + HIDDEN,
    "an empty Content-Length": HEAD + b"Content-Length:\r\n\r\n" + HIDDEN,
    "a bare LF after a header": HEAD + b"X-A: b\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "bare LFs only": HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n" + HIDDEN,
    "a space before the colon": HEAD + b"Content-Length : 0\r\n\r\n" + HIDDEN,
    "a tab before the colon": HEAD + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a folded header": HEAD + b"X-A: b\r\n c: d\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a header that starts with a space": b"GET /v1/models HTTP/1.1\r\n Host: a\r\nHost: 127.0.0.1\r\n\r\n",
    "a header without a colon": HEAD + b"nonsense\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a header without a name": HEAD + b": value\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a NUL in a header": HEAD + b"X-A: b\0c\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a CR in a header": HEAD + b"X-A: b\rc\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "chunked twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "an unknown encoding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "identity encoding": HEAD + b"Transfer-Encoding: identity\r\n\r\n" + HIDDEN,
    "two Transfer-Encodings": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
                                     b"0\r\n\r\n" + HIDDEN,
    "chunked in HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n"
                                                        b"0\r\n\r\n" + HIDDEN,
    "two Hosts": b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n" + HIDDEN,
    "no Host": b"GET /v1/models HTTP/1.1\r\n\r\n" + HIDDEN,
    "spaces in the target": b"GET /v1/models x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + HIDDEN,
    "two spaces in the request line": b"GET  /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + HIDDEN,
    "a lower-case version": b"GET /v1/models http/1.1\r\nHost: 127.0.0.1\r\n\r\n" + HIDDEN,
    "HTTP/2.0": b"GET /v1/models HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n" + HIDDEN,
    "HTTP/0.9": b"GET /v1/models\r\n\r\n" + HIDDEN,
    "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "a chunk size with a sign": HEAD + b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n" + HIDDEN,
    "a chunk size that overflows": HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
                                          b"10000000000000000\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a chunk longer than it says": HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
                                          b"1\r\nXY\r\n0\r\n\r\n" + HIDDEN,
}


def refused(what):
    s = stack()
    before = len(s.engine.calls)
    answers, closed = raw(SMUGGLED[what])
    assert len(answers) <= 1, [(a.status, bytes(a.body)) for a in answers]
    assert all(400 <= a.status < 600 for a in answers), answers[0].status
    assert closed, "the connection stays open"
    assert not any("hidden" in c.path for c in s.engine.calls[before:])
    assert not s.engine.calls[before:], s.engine.calls[-1].path


for _what in SMUGGLED:
    test(f"{_what}: one refusal at most, and the connection is closed")(
        lambda what=_what: refused(what))


@test("nothing behind a chunked body counts as a request")
def _():
    s = stack()
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(b'{"model":"gpt-test","messages":[]}'),
                                     b'{"model":"gpt-test","messages":[]}')
    answers, closed = raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body + HIDDEN)
    assert [a.status for a in answers] == [200] and closed
    assert not any("hidden" in c.path for c in s.engine.calls)


@test("names in Host that are not ours are refused, addresses and localhost are not")
def _():
    s = stack()
    for host, status in (("127.0.0.1", 200), ("localhost:8080", 200), ("[::1]:8080", 200),
                         ("gateway.example", 200), ("GATEWAY.example:1", 200), ("a.localhost", 200),
                         ("evil.example", 403), ("gateway.example.evil.example", 403),
                         ("127.0.0.1.evil.example", 403), ("localhost.evil.example", 403)):
        a = s.http("GET", "/v1/models", headers=[("host", host)])
        assert a.status == status, (host, a.status)
        if status == 403:
            assert a.error["type"] == "permission_error" or a.error["code"], a.body


@test("a preflight is granted to listed origins, with the headers it asks for")
def _():
    s = stack()
    asked = "authorization,content-type,x-stainless-os,x-stainless-lang,user-agent"
    fields = [("origin", "https://chat.example"), ("access-control-request-method", "POST"),
              ("access-control-request-headers", asked)]
    a = s.http("OPTIONS", "/v1/chat/completions", headers=fields)
    assert a.status == 204 and a.header("access-control-allow-origin") == "https://chat.example"
    assert a.header("access-control-allow-headers") == asked
    assert "POST" in a.header("access-control-allow-methods") and a.header("access-control-max-age")
    assert "origin" in ",".join(a.all("vary")).lower()
    a = s.http("OPTIONS", "/v1/chat/completions", headers=[("origin", "https://evil.example"),
                                                          *fields[1:]])
    assert a.header("access-control-allow-origin") is None
    assert a.header("access-control-allow-headers") is None


@test("pages of listed origins can read receipt headers; others cannot read anything")
def _():
    s = stack()
    a = chat(s.port, "gpt-test", headers=[("origin", "https://chat.example")])
    assert a.header("access-control-allow-origin") == "https://chat.example"
    exposed = a.header("access-control-expose-headers")
    assert "x-receipt-id" in exposed and "x-request-id" in exposed and "retry-after" in exposed
    a = chat(s.port, "err-400", headers=[("origin", "https://chat.example")])
    assert a.header("access-control-allow-origin") == "https://chat.example"
    a = chat(s.port, "gpt-test", headers=[("origin", "https://evil.example")])
    assert a.header("access-control-allow-origin") is None


@test("malformed JSON and wrong types are 400 with the parameter's name, and never reach a worker")
def _():
    s = stack()
    before = len(s.engine.calls)
    for body, param in ((b"", None), (b"{", None), (b'{"model": "x", }', None), (b"[]", None),
                        (b'"text"', None), (b"null", None), (b'{"model":1,"messages":[]}', "model"),
                        (b'{"messages":[]}', "model"), (b'{"model":"x","stream":"yes"}', "stream"),
                        (b'{"model":"x"} trailing', None), (b'{"model":"\xff"}', None),
                        (b'{"model":"x","a":NaN}', None), (b"[" * 100000, None),
                        (b'{"a":' * 1000 + b"1" + b"}" * 1000, None), (b"\x00", None)):
        a = s.http("POST", "/v1/chat/completions", body)
        assert a.status == 400 and a.error["type"] == "invalid_request_error", (body[:40], a.status)
        assert param is None or a.error["param"] == param, (body, a.error)
        assert b"trailing" not in a.body
    assert len(s.engine.calls) == before


@test("other content types and encodings are 415")
def _():
    s = stack()
    for fields in ([("content-type", "text/plain")], [("content-type", "multipart/form-data")],
                   [("content-encoding", "gzip")]):
        a = s.http("POST", "/v1/chat/completions", chat_body("gpt-test"), fields)
        assert a.status == 415 and a.error["type"] == "invalid_request_error", (fields, a.status)
    a = s.http("POST", "/v1/chat/completions", chat_body("gpt-test"),
               [("content-type", "application/json; charset=utf-8")])
    assert a.status == 200


def sized(n):
    frame = b'{"model":"gpt-test","messages":[{"role":"user","content":"'
    tail = b'"}]}'
    return frame + b"a" * (n - len(frame) - len(tail)) + tail


@test("a body of exactly 64 MiB passes")
def _():
    s = stack()
    body = sized(64 * MIB)
    a = s.http("POST", "/v1/chat/completions", body)
    assert a.status == 200, (a.status, a.body)
    got = [c for c in s.engine.calls if len(c.body) == 64 * MIB]
    assert len(got) == 1 and hashlib.sha256(got[0].body).digest() == hashlib.sha256(body).digest()
    got[0].body = b""


@test("a body of one byte more is 413, announced or chunked, and the client can read that")
def _():
    s = stack()
    before = len(s.engine.calls)
    a = s.http("POST", "/v1/chat/completions", sized(64 * MIB + 1))
    assert a.status == 413 and a.error["code"] == "request_too_large", (a.status, a.body)
    with s.conn() as c:
        c.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        piece = b"100000\r\n" + b" " * MIB + b"\r\n"
        try:
            for _ in range(64):
                c.send(piece)
            c.send(b"1\r\n \r\n0\r\n\r\n")
        except OSError:
            pass
        a = c.rest(c.head())
    assert a.status == 413, (a.status, a.body)
    a = s.http("POST", "/v1/chat/completions", None,
               [("content-type", "application/json"), ("content-length", str(1 << 40))])
    assert a.status == 413, a.status
    assert len(s.engine.calls) == before


@test("Expect: 100-continue is answered at once, and a hopeless one with its refusal")
def _():
    s = stack()
    body = request_bytes("POST", "/v1/chat/completions", chat_body("gpt-test"),
                         [("expect", "100-continue")], s.port)
    at = body.index(b"\r\n\r\n") + 4
    with s.conn() as c:
        c.send(body[:at])
        assert c.line() == b"HTTP/1.1 100 Continue" and c.fields() == []
        c.send(body[at:])
        assert c.rest(c.head()).status == 200
    with s.conn() as c:
        c.send(request_bytes("POST", "/v1/chat/completions", None,
                             [("expect", "100-continue"), ("content-length", str(65 * MIB)),
                              ("content-type", "application/json")], s.port))
        assert c.head().status == 413


@test("large and many headers: 431 above the limit, as an error")
def _():
    s = stack()
    assert s.http("GET", "/v1/models", headers=[("x-long", "a" * 3000)]).status == 200
    answers, closed = raw(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"a" * 40000 +
                          b"\r\n\r\n")
    assert all(a.status in (431, 413) for a in answers) and closed
    answers, closed = raw(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-A: b\r\n" * 150 +
                          b"\r\n")
    assert all(a.status in (431, 413) for a in answers) and closed, answers
    answers, closed = raw(b"GET /v1/" + b"a" * 40000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert all(a.status in (414, 431, 413) for a in answers) and closed


@test("slow heads, slow bodies and idle connections are closed in time")
def _():
    with Stack(gateway={"body_timeout": "3s", "head_timeout": "2s", "idle_timeout": "3s"}) as s:
        for begin in (b"", b"POST /v1/ch", HEAD + b"Content-Length: 100\r\n\r\n{"):
            with s.conn() as c:
                c.send(begin)
                assert c.is_closed(), begin
        with s.conn() as c:
            assert c.get("GET", "/healthz").status == 200
            assert c.is_closed()


@test("a client that sends its body byte by byte is served, if it is quick enough")
def _():
    s = stack()
    data = request_bytes("POST", "/v1/chat/completions", chat_body("gpt-test"), (), s.port)
    with s.conn() as c:
        for b in data:
            c.send(bytes([b]))
        assert c.rest(c.head()).status == 200


@test("HTTP/1.0 clients get an answer without chunks, ended by closing")
def _():
    s = stack()
    body = request_bytes("POST", "/v1/chat/completions", chat_body("gpt-test", True), (), s.port)
    with s.conn() as c:
        c.send(body.replace(b"HTTP/1.1", b"HTTP/1.0"))
        a = c.rest(c.head())
        assert a.status == 200 and a.header("transfer-encoding") is None
        assert a.events()[-1] == "[DONE]"


@test("a broken stream cannot be taken for a finished one by an HTTP/1.0 client either")
def _():
    s = stack()
    body = request_bytes("POST", "/v1/chat/completions", chat_body("cut-4", True), (), s.port)
    with s.conn() as c:
        c.send(body.replace(b"HTTP/1.1", b"HTTP/1.0"))
        a = c.rest(c.head())
        assert b"[DONE]" not in a.body and '"error":' in a.events()[-1]
        assert "reset" in a.broken, a.broken


@test("health, readiness and metrics are there and hold no secret")
def _():
    s = stack()
    chat(s.port, "gpt-test", True)
    assert s.http("GET", "/healthz").json == {"status": "ok"}
    assert s.http("GET", "/readyz").json == {"ready": True}
    a = s.http("GET", "/metrics")
    assert a.header("content-type").startswith("text/plain; version=0.0.4")
    text = a.body.decode()
    for name in ("sealgate_requests_total", "sealgate_requests_in_flight", "sealgate_receipts_total",
                 "sealgate_time_to_first_token_seconds_bucket", "sealgate_inter_token_gap_seconds_sum",
                 "sealgate_overhead_seconds_count", "sealgate_attestation_age_seconds"):
        assert f"\n{name}" in text, name
    assert s.metric("sealgate_requests_total", route="chat_completions", status="2xx") >= 1
    assert "gpt-test" not in text and "canary" not in text
    for line in text.splitlines():
        assert line.startswith("#") or len(line.rsplit(" ", 1)) == 2 and float(line.rsplit(" ", 1)[1]) >= 0


@test("the description of the API is served to everybody, and has the paths that are")
def _():
    with Stack(start_gateway=False) as s:
        s.gateway_settings["tokens_file"] = s.write("t", hashlib.sha256(b"x").hexdigest() + "\n")
        s.start_gateway()
        a = s.http("GET", "/openapi.json")
        assert a.status == 200 and a.header("content-type") == "application/json"
        assert a.json["openapi"].startswith("3.1") and "/openapi.json" in a.json["paths"]
        for path, methods in a.json["paths"].items():
            for method in methods:
                found = s.http(method.upper(), path.replace("{id}", "none"))
                # The path is looked at before the token, so what is not there would be a 404 or 405.
                assert found.status in (200, 401, 503), (method, path, found.status)


@test("the access log is JSON without content")
def _():
    import json
    s = stack()
    a = chat(s.port, "gpt-test")
    rid = a.header("x-request-id")
    line = wait_for(lambda: [l for l in s.gateway.log.splitlines() if rid in l])[0]
    entry = json.loads(line)
    assert entry["route"] == "chat_completions" and entry["status"] == 200
    for line in s.gateway.log.splitlines():
        assert isinstance(json.loads(line), dict)


@test("a tokens file lets its tokens in and nobody else, and keeps them from the worker")
def _():
    with Stack(start_gateway=False) as s:
        good = "sk-a-token-of-the-gateway"
        s.gateway_settings["tokens_file"] = s.write(
            "tokens", f"# people\n{hashlib.sha256(good.encode()).hexdigest()} alice\n")
        s.start_gateway()
        s.wait_ready()
        for fields in ((), [("authorization", "Bearer wrong")], [("authorization", good)],
                       [("authorization", f"Basic {good}")], [("authorization", "Bearer ")],
                       [("authorization", f"Bearer {good}x")]):
            for method, path, body in (("POST", "/v1/chat/completions", chat_body("gpt-test")),
                                       ("GET", "/v1/models", None), ("GET", "/metrics", None),
                                       ("GET", "/v1/receipts/abc", None),
                                       ("GET", "/v1/attestation", None)):
                a = s.http(method, path, body, fields)
                assert a.status == 401, (path, fields, a.status)
                assert a.error["code"] == "invalid_api_key" and "Bearer" in a.header("www-authenticate")
        assert not s.engine.calls
        for fields in ([("authorization", f"Bearer {good}")], [("api-key", good)],
                       [("authorization", f"bearer {good}")]):
            assert chat(s.port, "gpt-test", headers=fields).status == 200, fields
        assert all("authorization" not in c.headers for c in s.engine.calls)
        assert s.http("GET", "/healthz").status == 200
        a = s.http("OPTIONS", "/v1/models", headers=[("access-control-request-method", "GET"),
                                                     ("origin", "https://x.example")])
        assert a.status == 204


@test("tokens for worker and engine come from files, and travel where they should")
def _():
    with Stack(start_gateway=False) as s:
        s.workers[0].stop()
        token = "worker-token-1"
        s.workers[0] = s.start_worker(
            0, tokens_file=s.write("w", hashlib.sha256(token.encode()).hexdigest() + " gw\n"),
            engine_token_file=s.write("e", "engine-token-2\n"))
        s.gateway_settings["worker_token_file"] = s.write("g", token + "\n")
        s.start_gateway()
        s.wait_ready()
        assert chat(s.port, "plain-tokens", headers=[("authorization", "Bearer mine")]).status == 200
        assert s.engine.of("plain-tokens")[0].headers["authorization"] == "Bearer engine-token-2"
        s.gateway.stop()
        s.gateway_settings["worker_token_file"] = s.write("g", "wrong\n")
        s.start_gateway()
        s.wait_ready()
        a = chat(s.port, "plain-tokens")
        assert a.status == 401 and len(s.engine.of("plain-tokens")) == 1


def certificate(s, name="localhost"):
    """(certificate, key): self-signed, P-256."""
    cert, key = s.write(f"{name}.pem", ""), s.write(f"{name}.key", "")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return cert, key


@test("the gateway listens with TLS, 1.2 at least")
def _():
    with Stack(start_gateway=False) as s:
        cert, key = certificate(s)
        s.gateway_settings.update(tls_cert=cert, tls_key=key)
        s.start_gateway()
        context = ssl.create_default_context(cafile=cert)
        def ask(path, body=None):
            return http(s.port, "POST" if body else "GET", path, body, tls=context)
        wait_for(lambda: ask("/readyz").status == 200)
        a = ask("/v1/chat/completions", chat_body("gpt-test", True))
        assert a.complete and a.events()[-1] == "[DONE]"
        assert ask("/v1/chat/completions", chat_body("big-2000")).complete
        a = ask("/v1/chat/completions", chat_body("cut-4", True))
        assert not a.complete and "[DONE]" not in a.body.decode()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname = False
        old.verify_mode = ssl.CERT_NONE
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        try:
            Conn(s.port, tls=old).close()
        except (ssl.SSLError, ConnectionError):
            pass
        else:
            raise AssertionError("TLS 1.1 was accepted")


@test("workers are reached over TLS, and only with a certificate of a trusted root")
def _():
    with Stack(start_gateway=False) as s:
        cert, key = certificate(s)
        s.workers[0].stop()
        s.workers[0] = s.start_worker(0, listen=f"tls://127.0.0.1:{s.ports[0]}", tls_cert=cert,
                                      tls_key=key)
        s.gateway_settings.update(workers=[f"tls://127.0.0.1:{s.ports[0]}"], worker_ca=cert)
        s.start_gateway()
        s.wait_ready()
        assert chat(s.port, "gpt-test", True).complete
        s.gateway.stop()
        other, _key = certificate(s, "other.example")
        s.gateway_settings.update(worker_ca=other, worker_timeout="300ms")
        s.start_gateway()
        assert chat(s.port, "gpt-test").status == 503
        wait_for(lambda: "worker_ca" in
                 s.http("GET", "/v1/attestation").json["data"][0].get("trouble", ""))


@test("worker and gateway also talk over a unix socket, and the gateway listens on one")
def _():
    with Stack(start_gateway=False) as s:
        path = f"{s.folder}/worker.sock"
        s.workers[0].stop()
        from stack import Program, flags
        s.workers[0] = Program("sealgate-worker", flags({"listen": f"unix:{path}",
                                                         "platform": "simulated",
                                                         "engine": s.engine.url}), s.folder)
        s.gateway_settings["workers"] = [f"unix:{path}"]
        s.start_gateway()
        s.wait_ready()
        assert chat(s.port, "gpt-test", True).complete
