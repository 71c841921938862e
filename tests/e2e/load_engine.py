#!/usr/bin/env python3
"""A model server for load: it says the request's own id back, word by word, and writes down each id
that it was asked for.

    tests/e2e/load_engine.py HOST:PORT FILE

What a request asks for stands in its text: "id=WORD n=EVENTS gap=MILLISECONDS". FILE gets a line for
each request, before anything is answered.
"""
import asyncio
import os
import re
import signal
import sys

ASKED = re.compile(rb"id=([\w.-]+) n=(\d+) gap=(\d+)")
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.I)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = ('data: {"id":"chatcmpl-load","object":"chat.completion.chunk","created":1700000000,'
         '"model":"load","choices":[{"index":0,"delta":%s,"finish_reason":%s}]}\n\n')
NOT_FOUND = b"HTTP/1.1 404 X\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


def words(name, n):
    return [f"{name}.{i} " for i in range(n)]


def chunk(text):
    return b"%x\r\n%s\r\n" % (len(text), text.encode())


class Asked(asyncio.Protocol):
    def __init__(self, file):
        self.file = file
        self.buffer = bytearray()
        self.task = None

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, exc):
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data):
        self.buffer += data
        self.next()

    def next(self):
        at = self.buffer.find(b"\r\n\r\n")
        if self.task is not None or at < 0:
            return
        length = LENGTH.search(self.buffer[:at])
        end = at + 4 + (int(length[1]) if length else 0)
        if len(self.buffer) < end:
            return
        asked = ASKED.search(self.buffer[at:end])
        del self.buffer[:end]
        if asked is None:
            self.transport.write(NOT_FOUND)
        else:
            os.write(self.file, asked[1] + b"\n")
            self.task = asyncio.ensure_future(self.answer(asked[1].decode(), *map(int, asked.groups()[1:])))

    async def answer(self, name, n, gap_ms):
        self.transport.write(HEAD)
        for w in words(name, n):
            self.transport.write(chunk(EVENT % ('{"content":"%s"}' % w, "null")))
            await asyncio.sleep(gap_ms / 1000)
        self.transport.write(chunk(EVENT % ("{}", '"stop"')) + chunk("data: [DONE]\n\n") + b"0\r\n\r\n")
        self.task = None
        self.next()


async def main():
    host, port = sys.argv[1].rsplit(":", 1)
    file = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    await loop.create_server(lambda: Asked(file), host, int(port), backlog=4096)
    await over.wait()


if __name__ == "__main__":
    asyncio.run(main())
