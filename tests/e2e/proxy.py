"""Sits between a gateway and a worker as an attacker on the way would: it sees and may change every
byte, and knows HTTP/2's framing, but has no key."""
import socket
import threading
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
END_STREAM = 1


class Frame:
    def __init__(self, head, payload):
        self.kind, self.flags = head[3], head[4]
        self.stream = int.from_bytes(head[5:9], "big") & 0x7fffffff
        self.payload = payload

    def bytes(self):
        return (len(self.payload).to_bytes(3, "big") + bytes([self.kind, self.flags]) +
                self.stream.to_bytes(4, "big") + self.payload)


def frames_of(data):
    """Whole frames at the head of data, and what is left."""
    out, at = [], 0
    while len(data) - at >= 9:
        n = int.from_bytes(data[at:at + 3], "big")
        if len(data) - at < 9 + n:
            break
        out.append(Frame(data[at:at + 9], data[at + 9:at + 9 + n]))
        at += 9 + n
    return out, data[at:]


class Cut(Exception):
    """Raised by a hook: both ends are disconnected, after these last bytes to the gateway."""

    def __init__(self, last=b""):
        super().__init__()
        self.last = last


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy, near, far):
        self.proxy, self.near, self.far = proxy, near, far
        self.to_worker = b""
        self.to_gateway = b""
        self.sealed = set()  # streams that carry sealed requests
        self.answered = {}   # per such stream: DATA frames with content so far

    def close(self):
        for s in (self.near, self.far):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def pump_to_worker(self):
        rest, begun = b"", False
        try:
            while data := self.near.recv(65536):
                self.to_worker += data
                rest += data
                if not begun and len(rest) >= len(PREFACE):
                    begun, rest = True, rest[len(PREFACE):]
                if begun:
                    frames, rest = frames_of(rest)
                    for f in frames:
                        if f.kind == DATA and f.payload[1:3] == b"\x00\x20":
                            self.sealed.add(f.stream)
                        if self.proxy.on_request is not None and f.stream in self.sealed:
                            self.proxy.on_request(self, f)
                self.far.sendall(data)
        except (OSError, Cut):
            pass
        self.close()

    def pump_to_gateway(self):
        rest = b""
        try:
            while data := self.far.recv(65536):
                self.to_gateway += data
                frames, rest = frames_of(rest + data)
                out = b""
                for f in frames:
                    try:
                        out += self.pass_on(f)
                        if self.proxy.apart:
                            self.near.sendall(out)
                            out = b""
                            time.sleep(self.proxy.apart)
                    except Cut as cut:
                        if self.proxy.slow_cut:
                            self.near.sendall(out)
                            out = b""
                        self.near.sendall(out + cut.last)
                        raise
                self.near.sendall(out)
        except (OSError, Cut):
            pass
        self.close()

    def pass_on(self, f):
        if f.kind == DATA and f.payload and f.stream not in self.sealed and self.proxy.on_clear:
            return self.proxy.on_clear(f)
        if f.kind != DATA or f.stream not in self.sealed or not (f.payload or f.flags):
            return f.bytes()
        n = self.answered.get(f.stream, 0)
        self.answered[f.stream] = n + 1
        hook = self.proxy.on_answer
        if hook is None:
            return f.bytes()
        f = hook(self, f, n)
        return f.bytes() if f is not None else b""


class Proxy:
    """on_answer(link, frame, n) gets the n-th DATA frame of each sealed answer and returns the frame
    to pass on (changed or not), None to drop it, or raises Cut. on_clear(frame) gets those of answers to
    what was not sealed, and returns bytes. Hooks may be set at any time."""

    def __init__(self, target):
        self.target = target
        self.on_answer = None
        self.on_request = None
        self.on_clear = None
        self.slow_cut = False
        self.apart = 0  # seconds between two frames to the gateway
        self.links = []
        self.refuse = False
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                if self.refuse:
                    raise OSError
                far = socket.create_connection(("127.0.0.1", self.target), 5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            for s in (near, far):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(self, near, far)
            self.links.append(link)
            threading.Thread(target=link.pump_to_worker, daemon=True).start()
            threading.Thread(target=link.pump_to_gateway, daemon=True).start()

    def captured(self):
        return b"".join(l.to_worker + l.to_gateway for l in self.links)

    def drop_links(self):
        for l in self.links:
            l.close()

    def close(self):
        self.listener.close()
        self.drop_links()
