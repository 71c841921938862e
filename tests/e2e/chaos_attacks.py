"""What bad clients do to listeners. Each maker gives a function that does it once, on one connection, and
returns early when its Event is set. All of it is bounded: by the caller's time, and by socket timeouts."""
import json
import secrets
import socket
import struct

from client import request_bytes
from proxy import HEADERS, PREFACE, RST, SETTINGS, PING

END_HEADERS, END_STREAM = 4, 1
# HPACK: :method GET, :scheme http, :path /.well-known/ohttp-gateway, :authority x
PATH = b"/.well-known/ohttp-gateway"
GET = b"\x82\x86\x04" + bytes([len(PATH)]) + PATH + b"\x41\x01x"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def connect(address, port, receive=None):
    s = socket.socket()
    s.settimeout(5)
    if receive is not None:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    s.connect((address, port))
    return s


def hold(s, stop, seconds=30):
    """Until it is over, or the other side has had enough."""
    s.settimeout(0.2)
    for _ in range(int(seconds / 0.2)):
        if stop.is_set():
            return
        try:
            if not s.recv(1, socket.MSG_PEEK):
                return
            stop.wait(0.2)
        except TimeoutError:
            pass


def slow_reader(address, port):
    def once(stop):
        body = {"model": "load", "stream": True, "messages": [
            {"role": "user", "content": f"id=slow-{secrets.token_hex(6)} n=2000 gap=0"}]}
        with connect(address, port, 4096) as s:
            s.sendall(request_bytes("POST", "/v1/chat/completions", json.dumps(body).encode(), (), port))
            hold(s, stop)
    return once


def greeting(settings=b""):
    return PREFACE + frame(SETTINGS, 0, 0, settings)


def slow_reader_h2(address, port):
    """Many questions, and no window for the answers (SETTINGS_INITIAL_WINDOW_SIZE 0)."""
    def once(stop):
        with connect(address, port) as s:
            s.sendall(greeting(struct.pack(">HI", 4, 0)))
            s.sendall(b"".join(frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, GET)
                               for i in range(1000)))
            hold(s, stop)
    return once


def trickle(s, stop, data):
    for i in range(len(data)):
        if stop.wait(0.05):
            return
        s.sendall(data[i:i + 1])


def slowloris(address, port):
    def once(stop):
        with connect(address, port) as s:
            trickle(s, stop, b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n" + b"x-y: z\r\n" * 1000)
    return once


def slowloris_h2(address, port):
    """A field block that is announced, and comes a byte at a time."""
    def once(stop):
        with connect(address, port) as s:
            s.sendall(greeting())
            trickle(s, stop, struct.pack(">I", 4000)[1:] + bytes([HEADERS, 0]) + b"\0\0\0\1" + b"\x40" * 4000)
    return once


def flood(address, port, pieces):
    def once(stop):
        with connect(address, port) as s:
            s.sendall(greeting())
            for data in pieces():
                if stop.is_set():
                    return
                s.sendall(data)
    return once


def rapid_reset(address, port):
    def pieces():
        for block in range(10000):
            yield b"".join(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, GET) +
                           frame(RST, 0, 2 * n + 1, struct.pack(">I", 8))
                           for n in range(block * 100, block * 100 + 100))
    return flood(address, port, pieces)


def settings_flood(address, port):
    def pieces():
        for _ in range(10000):
            yield frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 100)) * 50 + frame(PING, 0, 0, bytes(8)) * 50
    return flood(address, port, pieces)


def idle_connections(address, port, n):
    """n connections that were answered once and stay open."""
    held = []
    for _ in range(n):
        s = connect(address, port)
        held.append(s)
        s.sendall(request_bytes("GET", "/healthz", None, (), port))
    for s in held:
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = s.recv(4096)
            if not piece:
                raise OSError("a connection was closed")
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200"), answer
    return held
