"""Stands between a client and the relay, speaks HTTP/1.1 to both, and spoils sealed answers.

    flip  one bit of the first sealed piece
    cut   the answer ends, in the way of HTTP cleanly, behind its third sealed piece

Everything else passes as it is: key lists, refusals, requests.
"""
import re
import socket
import threading

SEALED = re.compile(rb"message/ohttp-(chunked-)?res|ehbp-response-nonce", re.I)
SUITE = re.compile(rb"\x00\x20\x00\x01\x00([\x01-\x03])")  # in the head of an OHTTP request
FLIPPED = 64  # behind any nonce and length, and within any first piece
PIECES = 3


class Spoiled(Exception):
    """Enough has been passed on."""


def varint(data):
    """(value, length), or None when there is more to come."""
    size = 1 << (data[0] >> 6) if data else 1
    if len(data) < size:
        return None
    return int.from_bytes(data[:size], "big") & ((1 << (size * 8 - 2)) - 1), size


def length(data):
    return (int.from_bytes(data[:4], "big"), 4) if len(data) >= 4 else None


class Link:
    def __init__(self, mode, near, far):
        self.mode, self.near, self.far = mode, near, far
        self.aead = 2
        self.rest = b""

    def up(self):
        try:
            while data := self.near.recv(65536):
                if found := SUITE.search(data):
                    self.aead = found[1][0]
                self.far.sendall(data)
        except OSError:
            pass
        self.close()

    def down(self):
        try:
            while True:
                self.answer()
        except (OSError, EOFError, Spoiled):
            pass
        self.close()

    def close(self):
        for s in (self.near, self.far):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def fill(self):
        data = self.far.recv(65536)
        if not data:
            raise EOFError
        self.rest += data

    def take(self, n):
        while len(self.rest) < n:
            self.fill()
        out, self.rest = self.rest[:n], self.rest[n:]
        return out

    def until(self, mark):
        while mark not in self.rest:
            self.fill()
        return self.take(self.rest.index(mark) + len(mark))

    def answer(self):
        head = self.until(b"\r\n\r\n")
        self.near.sendall(head)
        spoil = Spoiler(self.mode, b"ohttp" in head, self.aead) if SEALED.search(head) else None
        if found := re.search(rb"\r\ncontent-length: *(\d+)", head, re.I):
            data = self.take(int(found[1]))
            self.near.sendall(spoil.next(data) if spoil and self.mode == "flip" else data)
            return
        while n := int(self.until(b"\r\n").split(b";")[0], 16):
            data = self.take(n + 2)[:-2]
            if spoil:
                data = spoil.next(data)
            if data:
                self.near.sendall(b"%x\r\n%s\r\n" % (len(data), data))
            if spoil and spoil.over:
                self.near.sendall(b"0\r\n\r\n")
                raise Spoiled
        self.near.sendall(b"0\r\n" + self.until(b"\r\n"))


class Spoiler:
    """The body of one sealed answer."""

    def __init__(self, mode, ohttp, aead):
        self.mode, self.over = mode, False
        self.read = varint if ohttp else length
        self.nonce = (16 if aead == 1 else 32) if ohttp else 0
        self.at, self.kept, self.pieces = 0, b"", 0

    def next(self, data):
        return self.flip(data) if self.mode == "flip" else self.cut(data)

    def flip(self, data):
        at, self.at = FLIPPED - self.at, self.at + len(data)
        if 0 <= at < len(data):
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
        return data

    def cut(self, data):
        """Whole pieces only, and few."""
        self.kept += data
        out = b""
        if self.nonce and len(self.kept) >= self.nonce:
            out, self.kept, self.nonce = self.kept[:self.nonce], self.kept[self.nonce:], 0
        while not self.nonce and not self.over and (head := self.read(self.kept)):
            n = sum(head)
            if len(self.kept) < n:
                break
            out, self.kept = out + self.kept[:n], self.kept[n:]
            self.pieces += 1
            self.over = self.pieces == PIECES
        return out


class Meddler:
    def __init__(self, target, mode):
        self.target, self.mode = target, mode
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target), 5)
            far.settimeout(None)
            link = Link(self.mode, near, far)
            threading.Thread(target=link.up, daemon=True).start()
            threading.Thread(target=link.down, daemon=True).start()

    def close(self):
        self.listener.close()
