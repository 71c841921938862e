#!/usr/bin/env python3
"""Clients that ask for streams, each with an id of its own, and look at every byte of the answers.

    tests/e2e/load.py --to HOST:PORT... [--requests N [--until FILE]] [--seconds N] [--clients N]
                      [--events A-B] [--gap A-B] [--patience SECONDS] [--token FILE] [--name WORD]
                      --out FILE

On SIGTERM no more is asked, and what is under way ends. FILE gets a line of JSON for each request: its
id, when it began and ended (steady clock), the address
asked, the id of its receipt, and its outcome:

    ok       complete: every word, the receipt's comment, [DONE], the receipt's trailer, the framing's end
    error    an error object, or an error event and a broken end
    broken   no answer, or an answer that ends before its framing does: every HTTP client sees that
    cut      an end that looks good, of an answer that is not complete
    hung     nothing more within the patience
"""
import argparse
import asyncio
import base64
import json
import os
import random
import signal
import sys
import time

from load_engine import words


class Answer(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self):
        self.buffer = bytearray()
        self.over = None
        self.lost = False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        if self.over is not None and not self.over.done() and self.is_complete():
            self.over.set_result(None)

    def connection_lost(self, exc):
        self.lost = True
        if self.over is not None and not self.over.done():
            self.over.set_result(None)

    def is_complete(self):
        if self.buffer[-4:] == b"\r\n\r\n" and b"\r\n0\r\n" in self.buffer[-8192:]:
            return True
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        length = field(head, b"content-length")
        return bool(found) and length is not None and len(body) >= int(length)

    async def ask(self, request, patience):
        """The bytes of the answer, and what became of it: "complete", "broken" or "hung"."""
        self.buffer.clear()
        self.over = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        try:
            await asyncio.wait_for(self.over, patience)
        except asyncio.TimeoutError:
            return bytes(self.buffer), "hung"
        return bytes(self.buffer), "complete" if self.is_complete() else "broken"


def field(head, name):
    for line in bytes(head).split(b"\r\n")[1:]:
        k, _, v = line.partition(b":")
        if k.strip().lower() == name:
            return v.strip().decode("latin-1")
    return None


def unchunked(body):
    """Content and trailers, of what is complete; as far as it came, of what is not."""
    out, at = bytearray(), 0
    while (end := body.find(b"\r\n", at)) >= 0:
        size = int(body[at:end].split(b";")[0] or b"0", 16)
        if size == 0:
            return bytes(out), body[end:]
        out += body[end + 2:end + 2 + size]
        at = end + 2 + size + 2
    return bytes(out), b""


def text_of(events):
    chunks = [json.loads(e[6:]) for e in events if e.startswith("data: {")]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c.get("choices"))


def is_whole(content, trailers, expected):
    events = content.decode().split("\n\n")
    if events[-2:] != ["data: [DONE]", ""] or not events[-3].startswith(": receipt "):
        return False
    receipt = events[-3][len(": receipt "):]
    base64.urlsafe_b64decode(receipt + "=" * (-len(receipt) % 4))
    return f"x-receipt: {receipt}".encode() in trailers.lower().replace(
        receipt.lower().encode(), receipt.encode()) and text_of(events) == expected


def has_error(content):
    try:
        return any(json.loads(e[6:]).get("error") for e in content.decode().split("\n\n")
                   if e.startswith("data: {"))
    except ValueError:
        return False


def judge(answer, end, expected):
    """(outcome, why, receipt id) of the bytes of an answer."""
    head, found, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1]) if found else 0
    receipt = field(head, b"x-receipt-id") if found else None
    if not found:
        return ("hung" if end == "hung" else "broken"), "no answer", None
    if status != 200:
        whole = end == "complete" and b'"error"' in body
        return ("error" if whole else end if end != "complete" else "cut"), \
            f"{status} {body[:160].decode(errors='replace')}", None
    content, trailers = unchunked(body)
    if end == "complete":
        whole = is_whole(content, trailers, expected)
        return ("ok", "", receipt) if whole else ("cut", content[-200:].decode(errors="replace"), receipt)
    if has_error(content):
        return "error", content[-300:].decode(errors="replace"), None
    return end, content[-100:].decode(errors="replace"), None


class Load:
    def __init__(self, asked):
        self.asked = asked
        self.began = time.monotonic()
        self.n = 0
        self.over = False
        self.out = open(asked.out, "w", encoding="utf-8", buffering=1)
        self.random = random.Random(asked.name)

    def another(self):
        late = self.asked.seconds and time.monotonic() - self.began >= self.asked.seconds
        late = late or self.over
        waits = self.asked.until and not os.path.exists(self.asked.until)
        if late or (self.asked.requests and self.n >= self.asked.requests and not waits):
            return None
        self.n += 1
        return self.n

    def between(self, span):
        low, _, high = span.partition("-")
        return self.random.randint(int(low), int(high or low))

    def request(self, n, host):
        name, events = f"{self.asked.name}-{n}", self.between(self.asked.events)
        body = json.dumps({"model": "load", "stream": True, "messages": [{
            "role": "user", "content": f"id={name} n={events} gap={self.between(self.asked.gap)}"
                                       f" {'x' * self.between(self.asked.filler)}"}]}).encode()
        head = (f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n")
        if self.asked.token:
            with open(self.asked.token, encoding="ascii") as f:
                head += f"authorization: Bearer {f.read().strip()}\r\n"
        return name, "".join(words(name, events)), head.encode() + b"\r\n" + body

    async def connect(self, at):
        host, port = at.rsplit(":", 1)
        loop = asyncio.get_running_loop()
        _, c = await asyncio.wait_for(loop.create_connection(Answer, host, int(port)), 10)
        return c

    async def one(self, conn, at, n):
        name, expected, request = self.request(n, at)
        began, answer, end = time.monotonic(), b"", "broken"
        try:
            if conn is None or conn.lost:
                conn = await self.connect(at)
            answer, end = await conn.ask(request, self.asked.patience)
        except (OSError, asyncio.TimeoutError):
            conn = None
        kind, why, receipt = judge(answer, end, expected)
        print(json.dumps({"id": name, "outcome": kind, "why": why, "receipt": receipt, "at": at,
                          "began": began, "ended": time.monotonic()}), file=self.out)
        if conn is not None and (kind != "ok" or conn.lost):
            conn.transport.abort()
            conn = None
        if kind == "broken":
            await asyncio.sleep(0.1)
        return conn

    async def client(self, i):
        at, conn = self.asked.to[i % len(self.asked.to)], None
        await asyncio.sleep(i * 0.005)
        while (n := self.another()) is not None:
            conn = await self.one(conn, at, n)
        if conn is not None:
            conn.transport.abort()

    def finish(self):
        self.over = True

    async def run(self):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.finish)
        await asyncio.gather(*(self.client(i) for i in range(self.asked.clients)))


def main():
    p = argparse.ArgumentParser(prog="tests/e2e/load.py", usage=__doc__)
    p.add_argument("--to", action="append", required=True)
    p.add_argument("--requests", type=int, default=0)
    p.add_argument("--seconds", type=float, default=0)
    p.add_argument("--until", help="go on until this file is there, after --requests too")
    p.add_argument("--clients", type=int, default=16)
    p.add_argument("--events", default="4-10")
    p.add_argument("--gap", default="5-40")
    p.add_argument("--filler", default="0-2000")
    p.add_argument("--patience", type=float, default=60)
    p.add_argument("--token")
    p.add_argument("--name", default="load")
    p.add_argument("--out", required=True)
    asked = p.parse_args()
    if not asked.requests and not asked.seconds:
        sys.exit("one of --requests and --seconds is needed")
    asyncio.run(Load(asked).run())


if __name__ == "__main__":
    main()
