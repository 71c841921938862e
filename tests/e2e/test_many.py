"""Many at a time"""
import asyncio
import json
import time

from client import PROMPT_CANARY, chat, wait_for
from stack import Stack
from suite import test


def request(port, model, stream=True):
    body = json.dumps({"model": model, "stream": stream,
                       "messages": [{"role": "user", "content": PROMPT_CANARY}]}).encode()
    return (f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode() + body


async def read_stream(reader):
    """(status, whole): the body of a chunked answer to its end."""
    head = await reader.readuntil(b"\r\n\r\n")
    body = bytearray()
    while True:
        line = await reader.readline()
        if not line:
            raise asyncio.IncompleteReadError(bytes(body), None)
        size = int(line, 16)
        if size == 0:
            while (await reader.readline()).strip():
                pass
            return head, bytes(body)
        body += await reader.readexactly(size)
        await reader.readexactly(2)


def clients(port, model, n, act):
    """n clients at once; act(reader, writer, i) is what each does with its answer."""
    async def one(i):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        try:
            writer.write(request(port, model))
            return await act(reader, writer, i)
        finally:
            writer.close()

    async def everyone():
        return await asyncio.gather(*(one(i) for i in range(n)), return_exceptions=True)
    return asyncio.run(everyone())


@test("a thousand streams at once all come to their end, each with a receipt")
def _():
    # All are open before the first may go on.
    with Stack(gateway={"connections_max": "4000"}) as s:
        async def act(reader, writer, i):
            return await read_stream(reader)

        import threading

        def let_go():
            wait_for(lambda: len(s.engine.of("gate-thousand")) == 1000)
            s.engine.release["thousand"] = True
        threading.Thread(target=let_go, daemon=True).start()
        results = clients(s.port, "gate-thousand", 1000, act)
        bad = [r for r in results if not isinstance(r, tuple) or
               not r[1].endswith(b"data: [DONE]\n\n") or b": receipt " not in r[1]]
        assert not bad, (len(bad), bad[:2], s.gateway.log[-500:])
        ids = {r[0].split(b"x-receipt-id: ")[1][:32] for r in results}
        assert len(ids) == 1000
        assert s.metric("sealgate_receipts_total", outcome="stored") == 1000
        wait_for(lambda: s.metric("sealgate_requests_in_flight") <= 1)


@test("fifteen hundred clients that leave at once neither break the link nor leave work behind")
def _():
    with Stack(gateway={"connections_max": "4000"}) as s:
        n = 1500
        gone = asyncio.Event()

        async def act(reader, writer, i):
            await reader.readuntil(b"data: ")
            if len(s.engine.of("endless-crowd")) == n:
                gone.set()
            while not gone.is_set():
                await asyncio.sleep(0.2)
                if len(s.engine.of("endless-crowd")) == n:
                    gone.set()
            writer.transport.abort()
        with s.conn() as c:
            bystander = c.ask("POST", "/v1/chat/completions",
                              {"model": "gate-bystander", "stream": True,
                               "messages": [{"role": "user", "content": PROMPT_CANARY}]})
            clients(s.port, "endless-crowd", n, act)
            wait_for(lambda: all(x.gone for x in s.engine.of("endless-crowd")))
            s.engine.release["bystander"] = True
            c.rest(bystander)
        assert bystander.complete and bystander.events()[-1] == "[DONE]"
        assert len(s.engine.of("gate-bystander")) == 1
        assert chat(s.port, "gpt-test").status == 200
        wait_for(lambda: s.metric("sealgate_requests_in_flight") <= 1)


@test("clients that come, go and break in all ways leave nothing behind")
def _():
    with Stack() as s:
        async def act(reader, writer, i):
            if i % 4 == 0:
                writer.transport.abort()
            elif i % 4 == 1:
                await asyncio.sleep(0.01 * (i % 17))
                writer.transport.abort()
            elif i % 4 == 2:
                await reader.readuntil(b"data: ")
                writer.transport.abort()
            else:
                return await read_stream(reader)
            return None
        for model in ("words-20-5", "cut-5", "slow-100", "gpt-test"):
            results = clients(s.port, model, 120, act)
            whole = [r for i, r in enumerate(results) if i % 4 == 3]
            if model != "cut-5":
                assert all(isinstance(r, tuple) and r[1].endswith(b"[DONE]\n\n") for r in whole), whole
            else:
                assert all(isinstance(r, asyncio.IncompleteReadError) for r in whole), whole
        wait_for(lambda: s.metric("sealgate_requests_in_flight") <= 1)
        time.sleep(0.2)
        assert chat(s.port, "gpt-test").status == 200


@test("more connections than allowed do not hurt those that are there")
def _():
    with Stack(gateway={"connections_max": "20", "shards": "1"}) as s:
        held = [s.conn() for _ in range(10)]
        for c in held:
            assert c.get("GET", "/healthz").status == 200
        more = []
        for _ in range(40):
            try:
                more.append(s.conn(2))
            except OSError:
                pass
        for c in held:
            assert c.get("GET", "/healthz").status == 200
        for c in held + more:
            c.close()
        wait_for(s.is_ready)
