"""A small name server on loopback: UDP, and TCP for what UDP has no room for."""
import socket
import struct
import threading

KINDS = {"A": 1, "AAAA": 28, "SRV": 33}
NXDOMAIN, SERVFAIL = 3, 2
UDP_MAX = 512


def name_bytes(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".") if p) + b"\0"


def data_of(kind, value):
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    priority, weight, port, target = value
    return struct.pack(">3H", priority, weight, port) + name_bytes(target)


class NameServer:
    """records[name, kind] = values; broken: names that get SERVFAIL. What has no record is NXDOMAIN."""

    def __init__(self, ttl=1, host="127.0.0.1", port=0):
        self.ttl, self.host = ttl, host
        self.records = {}
        self.broken = set()
        self.asked = []
        self.by_tcp = 0
        self.open_both(port)
        self.stopped = False
        for serve in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def open_both(self, port):
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        while True:
            self.tcp = socket.create_server((self.host, port), family=family)
            self.port = self.tcp.getsockname()[1]
            self.udp = socket.socket(family, socket.SOCK_DGRAM)
            try:
                self.udp.bind((self.host, self.port))
                return
            except OSError:
                if port != 0:
                    raise
                self.tcp.close()
                self.udp.close()

    @property
    def address(self):
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def times(self, name):
        return sum(n == name for n, _ in list(self.asked))

    def close(self):
        self.stopped = True
        self.udp.close()
        self.tcp.close()

    def answer(self, request, room):
        end, labels = 12, []
        while request[end]:
            labels.append(request[end + 1:end + 1 + request[end]].decode())
            end += 1 + request[end]
        question = request[12:end + 5]
        name, code = ".".join(labels).lower(), struct.unpack(">H", request[end + 1:end + 3])[0]
        kind = next((k for k, v in KINDS.items() if v == code), "")
        self.asked.append((name, kind))
        known = any(n == name for n, _ in list(self.records))
        values = [] if name in self.broken else self.records.get((name, kind), [])
        flags = 0x8180 | (SERVFAIL if name in self.broken else 0 if known else NXDOMAIN)
        body = b""
        for v in values:
            data = data_of(kind, v)
            body += b"\xc0\x0c" + struct.pack(">HHIH", code, 1, self.ttl, len(data)) + data
        if 12 + len(question) + len(body) > room:
            return request[:2] + struct.pack(">5H", flags | 0x0200, 1, 0, 0, 0) + question
        return request[:2] + struct.pack(">5H", flags, 1, len(values), 0, 0) + question + body

    def serve_udp(self):
        while not self.stopped:
            try:
                request, peer = self.udp.recvfrom(4096)
                self.udp.sendto(self.answer(request, UDP_MAX), peer)
            except OSError:
                return

    def serve_tcp(self):
        while not self.stopped:
            try:
                peer, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        with peer, peer.makefile("rb") as f:
            while len(head := f.read(2)) == 2:
                self.by_tcp += 1
                reply = self.answer(f.read(struct.unpack(">H", head)[0]), 65535)
                peer.sendall(struct.pack(">H", len(reply)) + reply)
