#!/usr/bin/env python3
"""A bad wire between two network interfaces: loses frames, and delivers the others late.

    tests/e2e/wire.py INTERFACE INTERFACE LOSS DELAY_MS

LOSS is a share from 0 to 1, of frames in each direction. Says "ready", and works until it is ended.
"""
import asyncio
import random
import socket
import sys

ALL = 3                # ETH_P_ALL
SOL_PACKET, VNET = 263, 15  # PACKET_VNET_HDR: checksums and segmentation stay as they are
FRAME_MAX = 10 + 14 + 65536


def open_end(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    s.setsockopt(SOL_PACKET, VNET, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    s.bind((name, ALL))
    s.setblocking(False)
    return s


def deliver(to, frame):
    try:
        to.send(frame)
    except OSError:
        pass  # a full queue loses frames, too


def forward(loop, near, far, loss, delay_s):
    def on_frames():
        for _ in range(64):
            try:
                frame, about = near.recvfrom(FRAME_MAX)
            except OSError:
                return
            if about[2] == socket.PACKET_OUTGOING or random.random() < loss:
                continue
            if delay_s > 0:
                loop.call_later(delay_s, deliver, far, frame)
            else:
                deliver(far, frame)
    loop.add_reader(near, on_frames)


async def main():
    a, b = open_end(sys.argv[1]), open_end(sys.argv[2])
    loss, delay_s = float(sys.argv[3]), float(sys.argv[4]) / 1000
    loop = asyncio.get_running_loop()
    forward(loop, a, b, loss, delay_s)
    forward(loop, b, a, loss, delay_s)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
