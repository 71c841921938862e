"""An HTTP/1.1 client that hides nothing: bytes, chunks, trailers, and whether the end was the end."""
import json
import socket
import ssl
import time

from options import Options

PROMPT_CANARY = "marmoset-prompt-canary-77c2"


def hangs_s():
    """A wait for one thing that is longer than this will have no end."""
    return 60 * Options.patience


class Broken(Exception):
    """The connection ended before the message did."""


class Answer:
    def __init__(self, status, headers):
        self.status = status
        self.headers = headers
        self.body = bytearray()
        self.trailers = []
        self.complete = False
        self.pieces = []  # chunks as they came

    def header(self, name):
        for k, v in self.headers:
            if k == name:
                return v
        return None

    def all(self, name):
        return [v for k, v in self.headers if k == name]

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The OpenAI error object, which must have all its members."""
        e = self.json["error"]
        assert set(e) == {"message", "type", "param", "code"}, e
        return e

    def events(self):
        """The data of all events; comments left out."""
        return [e[6:] for e in self.body.decode().split("\n\n") if e.startswith("data: ")]

    def chunks(self):
        return [json.loads(e) for e in self.events() if e != "[DONE]"]

    def text(self):
        return "".join(c["choices"][0]["delta"].get("content") or "" for c in self.chunks()
                       if c.get("choices"))


class Conn:
    """One connection to a gateway."""

    def __init__(self, port, timeout=None, tls=None, host="127.0.0.1"):
        self.sock = socket.create_connection((host, port), timeout or hangs_s())
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.buffer = b""
        self.port = port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Leaves as rudely as one can."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError) as why:
            raise Broken(f"reset: {why}") from why
        if not data:
            raise Broken("closed")
        self.buffer += data

    def line(self):
        while b"\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def take(self, n):
        while len(self.buffer) < n:
            self.fill()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def fields(self):
        out = []
        while line := self.line():
            k, _, v = line.decode("latin-1").partition(":")
            out.append((k.strip().lower(), v.strip()))
        return out

    def head(self):
        while True:
            parts = self.line().decode("latin-1").split(" ", 2)
            assert parts[0].startswith("HTTP/1."), parts
            answer = Answer(int(parts[1]), self.fields())
            if answer.status >= 200 or answer.status == 101:
                return answer

    def chunk(self, answer):
        """The next chunk; b"" is the end."""
        size = int(self.line().split(b";")[0], 16)
        if size == 0:
            answer.trailers = self.fields()
            answer.complete = True
            return b""
        data = self.take(size)
        assert self.take(2) == b"\r\n"
        answer.pieces.append(data)
        answer.body += data
        return data

    def rest(self, answer, method="GET"):
        """The whole body, as far as it came."""
        try:
            if answer.header("transfer-encoding") == "chunked":
                while self.chunk(answer):
                    pass
            elif method == "HEAD" or answer.status in (204, 304):
                answer.complete = True
            elif (n := answer.header("content-length")) is not None:
                while len(answer.body) < int(n):
                    if not self.buffer:
                        self.fill()
                    answer.body += self.take(min(len(self.buffer), int(n) - len(answer.body)))
                answer.complete = True
            else:
                while True:
                    answer.body += self.take(len(self.buffer))
                    self.fill()
        except Broken as why:
            answer.broken = str(why)
        return answer

    def ask(self, method, path, body=None, headers=()):
        self.send(request_bytes(method, path, body, headers, self.port))
        return self.head()

    def get(self, method, path, body=None, headers=()):
        return self.rest(self.ask(method, path, body, headers), method)

    def is_closed(self):
        """True when the other side has closed, or does so in time."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


def request_bytes(method, path, body=None, headers=(), port=0):
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1"]
    names = {k.lower() for k, _ in headers}
    if "host" not in names:
        lines.append(f"host: 127.0.0.1:{port}")
    if body is not None and "content-type" not in names:
        lines.append("content-type: application/json")
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"content-length: {len(body)}")
    lines += [f"{k}: {v}" for k, v in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def http(port, method, path, body=None, headers=(), timeout=None, tls=None):
    with Conn(port, timeout, tls) as c:
        return c.get(method, path, body, headers)


def chat_body(model, stream=False, prompt=PROMPT_CANARY, **more):
    return {"model": model, "stream": stream,
            "messages": [{"role": "user", "content": f"say something about {prompt}"}], **more}


def chat(port, model, stream=False, headers=(), timeout=None, **more):
    return http(port, "POST", "/v1/chat/completions", chat_body(model, stream, **more), headers,
                timeout)


def wait_for(what, *, every=0.02):
    """What a condition says once it is true. It fails when something hangs, not when it is slow."""
    until = time.monotonic() + hangs_s()
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < until, f"did not happen within {hangs_s()} s"
        time.sleep(every)
