"""A model server that does what its script says: the scripts are chosen by the request's "model".

HTTP/1.1 on a free loopback port, on a thread of its own. Every request becomes a Call, which tests
can look at afterwards: how often was the model asked, when did the asker leave. Programs outside
this process ask the same of GET /_calls/MODEL, and let "gate-NAME" go on by GET /_release/NAME.
"""
import asyncio
import base64
import json
import re
import struct
import threading
import time
import urllib.parse

import engine_other

MODELS = ["gpt-test", "org/model-with-slash", "org/deep/er"]
ANSWER_CANARY = "quetzal-answer-canary-5d1f"
WORDS = ["Hello", " from", " the", " engine", ",", " ", ANSWER_CANARY, " ü", "🙂", "."]


class Gone(Exception):
    """The asker left."""


class Call:
    def __init__(self, protocol, method, path, headers, body):
        self.protocol = protocol
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        try:
            self.json = json.loads(body) if body else {}
        except ValueError:
            self.json = {}
        if not isinstance(self.json, dict):
            self.json = {}
        self.model = str(self.json.get("model", ""))
        self.began = time.monotonic()
        self.gone = None       # when the asker left before the end
        self.ended = None      # when the answer was complete
        self.chunked = False
        self.keep = True
        self.written = 0

    @property
    def streams(self):
        return bool(self.json.get("stream"))

    def head(self, status, headers, length=None):
        lines = [f"HTTP/1.1 {status} X"]
        lines += [f"{k}: {v}" for k, v in headers]
        self.chunked = length is None
        lines.append("transfer-encoding: chunked" if self.chunked else f"content-length: {length}")
        self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())

    def raw(self, data):
        if self.gone is not None or self.protocol.transport.is_closing():
            raise Gone()
        self.protocol.transport.write(data)

    def put(self, data):
        if not data:
            return
        self.written += len(data)
        self.raw(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)

    async def drained(self):
        await self.protocol.may_write.wait()
        if self.gone is not None:
            raise Gone()

    def end(self):
        if self.chunked:
            self.raw(b"0\r\n\r\n")
        self.ended = time.monotonic()

    def whole(self, status, body, kind="application/json", more=()):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.head(status, [("content-type", kind), *more], len(body))
        self.put(body)
        self.end()

    def cut(self, reset=False):
        """Closes the connection in the middle."""
        self.keep = False
        self.ended = time.monotonic()
        if reset:
            self.protocol.transport.abort()
        else:
            self.protocol.transport.close()

    def facts(self):
        return {"path": self.path, "model": self.model, "gone": self.gone is not None,
                "gone_after": self.gone - self.began if self.gone else None,
                "ended": self.ended is not None, "headers": self.headers}


class Protocol(asyncio.Protocol):
    def __init__(self, engine):
        self.engine = engine
        self.buffer = bytearray()
        self.call = None
        self.task = None
        self.waiting = None
        self.may_write = asyncio.Event()
        self.may_write.set()

    def connection_made(self, transport):
        self.transport = transport
        self.engine.connections += 1
        self.engine.transports.add(transport)

    def pause_writing(self):
        self.may_write.clear()

    def resume_writing(self):
        self.may_write.set()

    def connection_lost(self, exc):
        self.engine.transports.discard(self.transport)
        if self.call is not None and self.call.ended is None:
            self.call.gone = time.monotonic()
        self.may_write.set()
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data):
        self.buffer += data
        self.next()

    def next(self):
        if self.call is not None:
            return
        at = self.buffer.find(b"\r\n\r\n")
        if at < 0:
            return
        lines = self.buffer[:at].decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = {}
        for line in lines[1:]:
            k, _, v = line.partition(":")
            headers[k.strip().lower()] = v.strip()
        length = int(headers.get("content-length", 0))
        if headers.get("expect", "").lower() == "100-continue" and self.waiting != at:
            self.waiting = at
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(self.buffer) < at + 4 + length:
            return
        body = bytes(self.buffer[at + 4:at + 4 + length])
        del self.buffer[:at + 4 + length]
        self.waiting = None
        self.call = Call(self, method, path, headers, body)
        self.task = asyncio.ensure_future(self.serve(self.call))

    async def serve(self, call):
        try:
            await self.engine.answer(call)
        except (Gone, asyncio.CancelledError):
            if call.gone is None and call.ended is None:
                call.gone = time.monotonic()
            return
        except Exception as why:  # a script's own mistake must be seen
            self.engine.mistakes.append(f"{call.model}: {why!r}")
            self.transport.abort()
            return
        self.call = None
        self.task = None
        if call.keep and not self.transport.is_closing():
            self.next()


class Engine:
    """Started by the constructor; `url` is what a worker is given as its engine."""

    def __init__(self):
        self.calls = []
        self.connections = 0
        self.transports = set()
        self.mistakes = []
        self.scripts = {}
        self.release = {}
        self.loop = asyncio.new_event_loop()
        started = threading.Event()

        def run():
            asyncio.set_event_loop(self.loop)
            self.server = self.loop.run_until_complete(
                self.loop.create_server(lambda: Protocol(self), "127.0.0.1", 0, backlog=4096))
            started.set()
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        started.wait()
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def of(self, model):
        return [c for c in list(self.calls) if c.model == model]

    def close(self):
        def stop():
            self.server.close()
            for t in list(self.transports):
                t.abort()
            self.loop.call_later(0.05, self.loop.stop)
        self.loop.call_soon_threadsafe(stop)
        self.thread.join(5)

    async def answer(self, call):
        path = call.path.split("?")[0]
        if path.startswith("/_calls/"):
            model = urllib.parse.unquote(path[len("/_calls/"):])
            call.whole(200, [c.facts() for c in self.of(model)])
            return
        if path.startswith("/_release/"):
            self.release[path[len("/_release/"):]] = True
            call.whole(200, {})
            return
        self.calls.append(call)
        if path.startswith("/v1/models"):
            models(call, urllib.parse.unquote(path[len("/v1/models"):].strip("/")))
        elif call.model in self.scripts:
            await self.scripts[call.model](call)
        elif path == "/v1/embeddings":
            embeddings(call)
        elif path in ("/v1/chat/completions", "/v1/completions"):
            for pattern, script in SCRIPTS:
                if m := re.fullmatch(pattern, call.model):
                    await script(call, *m.groups())
                    return
            error(call, 404, f"The model '{call.model}' does not exist", "model_not_found")
        elif path in engine_other.PATHS:
            await engine_other.PATHS[path](call)
        else:
            call.whole(404, {"detail": "Not Found"})


# ---- what answers look like ----

def error(call, status, message, code, more=()):
    kinds = {401: "invalid_request_error", 429: "rate_limit_error"}
    call.whole(status, {"error": {"message": message, "type": kinds.get(status, "some_error"),
                                  "param": None, "code": code}}, more=more)


def model_object(name):
    return {"id": name, "object": "model", "created": 1700000000, "owned_by": "tests"}


def models(call, name):
    if not name:
        call.whole(200, {"object": "list", "data": [model_object(m) for m in MODELS]})
    elif name in MODELS:
        call.whole(200, model_object(name))
    else:
        error(call, 404, f"The model '{name}' does not exist", "model_not_found")


VECTOR = [0.25, -1.5, 3.0, 0.1]


def embeddings(call):
    inputs = call.json.get("input")
    inputs = inputs if isinstance(inputs, list) and inputs and isinstance(inputs[0], str) else [inputs]
    packed = base64.b64encode(struct.pack("<4f", *VECTOR)).decode()
    vector = packed if call.json.get("encoding_format") == "base64" else VECTOR
    call.whole(200, {"object": "list", "model": call.model,
                     "data": [{"object": "embedding", "index": i, "embedding": vector}
                              for i in range(len(inputs))],
                     "usage": {"prompt_tokens": 3, "total_tokens": 3}})


def chunk_of(call, delta, finish=None, **more):
    text = call.path.startswith("/v1/completions")
    choice = {"index": 0, "finish_reason": finish, "logprobs": None}
    choice.update({"text": delta.get("content", "")} if text else {"delta": delta})
    return {"id": f"chatcmpl-{call.model}-{id(call):x}",
            "object": "text_completion" if text else "chat.completion.chunk",
            "created": 1700000000, "model": call.model, "choices": [choice], **more}


def event(data):
    return b"data: " + (data if isinstance(data, bytes) else
                        json.dumps(data, ensure_ascii=False).encode()) + b"\n\n"


USAGE = {"prompt_tokens": 7, "completion_tokens": 10, "total_tokens": 17}


def chat_events(call, words=WORDS, usage=None):
    """A whole stream, event by event, ending with [DONE]."""
    out = [event(chunk_of(call, {"role": "assistant", "content": ""}))]
    out += [event(chunk_of(call, {"content": w})) for w in words]
    out.append(event(chunk_of(call, {}, "stop")))
    if usage is None:
        usage = (call.json.get("stream_options") or {}).get("include_usage")
    if usage:
        last = chunk_of(call, {})
        last.update(choices=[], usage=USAGE)
        out.append(event(last))
    out.append(b"data: [DONE]\n\n")
    return out


def chat_object(call, content="".join(WORDS), **message):
    if call.path.startswith("/v1/completions"):
        return {"id": f"cmpl-{call.model}-{id(call):x}", "object": "text_completion",
                "created": 1700000000, "model": call.model, "usage": USAGE,
                "choices": [{"index": 0, "text": content, "finish_reason": "stop",
                             "logprobs": None}]}
    n = call.json.get("n") or 1
    return {"id": f"chatcmpl-{call.model}-{id(call):x}", "object": "chat.completion",
            "created": 1700000000, "model": call.model, "usage": USAGE,
            "choices": [{"index": i, "logprobs": None,
                         "finish_reason": "tool_calls" if message else "stop",
                         "message": {"role": "assistant", "content": content, "refusal": None,
                                     **message}} for i in range(n)]}


SSE = [("content-type", "text/event-stream")]


async def say(call, pieces, gap=0.0):
    call.head(200, SSE)
    for p in pieces:
        call.put(p)
        await call.drained()
        await asyncio.sleep(gap)
    call.end()


# ---- scripts ----

async def plain(call):
    if call.streams:
        await say(call, chat_events(call), 0.002)
    else:
        call.whole(200, chat_object(call))


async def tools(call):
    use = [{"id": "call_1", "type": "function",
            "function": {"name": "weather", "arguments": '{"city":"Zürich","days":3}'}},
           {"id": "call_2", "type": "function",
            "function": {"name": "time", "arguments": "{}"}}]
    if not call.streams:
        call.whole(200, chat_object(call, None, tool_calls=use))
        return
    deltas = [{"role": "assistant", "content": None}]
    for i, t in enumerate(use):
        deltas.append({"tool_calls": [{"index": i, "id": t["id"], "type": "function",
                                       "function": {"name": t["function"]["name"],
                                                    "arguments": ""}}]})
        for c in t["function"]["arguments"]:
            deltas.append({"tool_calls": [{"index": i, "function": {"arguments": c}}]})
    pieces = [event(chunk_of(call, d)) for d in deltas]
    pieces += [event(chunk_of(call, {}, "tool_calls")), b"data: [DONE]\n\n"]
    await say(call, pieces, 0.001)


async def thinks(call):
    """Reasons, then says one word, stopped by its limit when it has one."""
    finish = "length" if call.json.get("max_tokens") else "stop"
    if not call.streams:
        whole = chat_object(call, "yes", reasoning_content="hm, well")
        whole["choices"][0]["finish_reason"] = finish
        call.whole(200, whole)
        return
    deltas = [{"role": "assistant", "reasoning_content": "hm, "}, {"reasoning_content": "well"},
              {"content": "yes"}]
    await say(call, [event(chunk_of(call, d)) for d in deltas] +
              [event(chunk_of(call, {}, finish)), b"data: [DONE]\n\n"], 0.001)


async def says_json(call):
    text = json.dumps({"name": "Zoë", "age": 3}, ensure_ascii=False)
    if call.streams:
        await say(call, chat_events(call, list(text)), 0)
    else:
        call.whole(200, chat_object(call, text))


async def calls_all(call):
    """Calls every tool it was told of, each with one text."""
    names = [t["function"]["name"] for t in call.json.get("tools") or []]
    pieces = [event(chunk_of(call, {"role": "assistant", "content": None}))]
    for i, name in enumerate(names):
        pieces.append(event(chunk_of(call, {"tool_calls": [{
            "index": i, "id": f"call_{i}", "type": "function",
            "function": {"name": name, "arguments": ""}}]})))
        pieces += [event(chunk_of(call, {"tool_calls": [{
            "index": i, "function": {"arguments": c}}]})) for c in '{"input":"ü\\n"}']
    await say(call, pieces + [event(chunk_of(call, {}, "tool_calls")), b"data: [DONE]\n\n"])


async def structured(call):
    text = '{"city":"Zürich","days":3}'
    if call.streams:
        await say(call, chat_events(call, list(text)), 0.001)
    else:
        call.whole(200, chat_object(call, text))


async def failing(call, status):
    codes = {"400": "context_length_exceeded", "401": "invalid_api_key", "403": "forbidden",
             "404": "model_not_found", "422": "unprocessable", "429": "rate_limit_exceeded"}
    more = [("retry-after", "1")] if status == "429" else []
    error(call, int(status), f"the engine says {status}", codes.get(status, "engine_error"), more)


async def html(call, status):
    call.whole(int(status), b"<html><body><h1>Bad Gateway</h1></body></html>", "text/html")


async def words(call, n, gap_ms):
    await say(call, chat_events(call, [f"w{i} " for i in range(int(n))]), int(gap_ms) / 1000)


def stepwise(state):
    """A stream of which each event is said when state["seen"] has grown since the one before: when something
    of that was seen on the wire. So each is in a frame of its own."""
    async def script(call):
        call.head(200, SSE)
        for p in chat_events(call, [f"w{i} " for i in range(6)]):
            before = state["seen"]
            call.put(p)
            while state["seen"] == before:
                await asyncio.sleep(0.002)
        call.end()
    return script


async def slow_start(call, ms):
    await asyncio.sleep(int(ms) / 1000)
    await plain(call)


async def cut_after(call, events, extra):
    """Breaks off after so many events and a few bytes of the next."""
    pieces = chat_events(call)
    call.head(200, SSE)
    for p in pieces[:int(events)]:
        call.put(p)
        await asyncio.sleep(0.005)
    if extra:
        call.put(pieces[int(events)][:int(extra)])
        await asyncio.sleep(0.005)
    call.cut()


async def end_early(call, events):
    """Ends cleanly, but without [DONE], and before any finish_reason."""
    await say(call, chat_events(call)[:int(events)], 0.001)


async def no_done(call):
    await say(call, chat_events(call)[:-1], 0.001)


async def no_last_empty_line(call):
    pieces = chat_events(call)
    await say(call, pieces[:-1] + [b"data: [DONE]"], 0.001)


async def split(call):
    """Every byte in a write of its own."""
    call.head(200, SSE)
    for b in b"".join(chat_events(call, WORDS[:4] + WORDS[-3:])):
        call.put(bytes([b]))
        await asyncio.sleep(0)
    call.end()


def law_stream(writing):
    """A short stream, always the same, as servers write it: "crlf" or not, "tight" without the space."""
    choice = '{"id":"chatcmpl-law","choices":[{"index":0,"delta":{%s},"finish_reason":%s}]}'
    data = [choice % ('"content":"ü🙂"', "null"), choice % ("", '"stop"'), "[DONE]"]
    whole = b"".join(event(d.encode()) for d in data)
    if "tight" in writing:
        whole = whole.replace(b"data: ", b"data:")
    return whole.replace(b"\n", b"\r\n") if "crlf" in writing else whole


async def law(call, writing, cut):
    whole = law_stream(writing)
    await say(call, [whole[:int(cut)], whole[int(cut):]], 0.001)


async def glued(call):
    await say(call, [b"".join(chat_events(call))])


async def crlf(call):
    await say(call, [p.replace(b"\n", b"\r\n") for p in chat_events(call)], 0.001)


async def no_space(call):
    await say(call, [p.replace(b"data: ", b"data:") for p in chat_events(call)], 0.001)


async def decorated(call):
    """With what SDKs choke on: ids, retry hints, comments, events without data."""
    pieces = [b": hello from the engine\n\n", b"retry: 3000\n\n"]
    for i, p in enumerate(chat_events(call)):
        pieces.append(b"id: %d\n%s" % (i, p) if i % 2 else p)
        if i == 3:
            pieces.append(b"event: ping\n\n")
    await say(call, pieces, 0.001)


async def two_on_a_line(call):
    p = chat_events(call)
    await say(call, [p[0], p[1][:-2] + p[2], *p[3:]], 0.001)


async def multi_line(call):
    p = chat_events(call)
    body = json.loads(p[1][6:])
    lines = json.dumps(body, indent=1, ensure_ascii=False).encode().split(b"\n")
    await say(call, [p[0], b"".join(b"data: " + l + b"\n" for l in lines) + b"\n", *p[2:]], 0.001)


async def garbage(call, events):
    pieces = chat_events(call)[:int(events)]
    await say(call, pieces + [b"data: <html>it broke</html>\n\n", b"data: [DONE]\n\n"], 0.001)


async def error_event(call):
    pieces = chat_events(call)[:4]
    pieces.append(event({"error": {"message": "the engine ran out of memory", "type": "server_error",
                                   "param": None, "code": "oom"}}))
    await say(call, pieces, 0.001)


async def half_json(call):
    whole = json.dumps(chat_object(call)).encode()
    call.whole(200, whole[:len(whole) // 2])


async def not_http(call):
    call.raw(b"this is no HTTP at all\r\n\r\n")
    call.cut()


async def cut_json(call):
    whole = json.dumps(chat_object(call)).encode()
    call.head(200, [("content-type", "application/json")], len(whole))
    call.put(whole[:20])
    call.cut()


async def silent(call):
    await asyncio.sleep(120)


async def stalls(call):
    call.head(200, SSE)
    for p in chat_events(call)[:3]:
        call.put(p)
    await asyncio.sleep(120)


async def refuses(call):
    call.cut(reset=True)


async def big(call, kib):
    """An answer of about so many KiB, in one piece or in few large events."""
    text = "x" * 1023 + "\n"
    if not call.streams:
        call.whole(200, chat_object(call, text * int(kib)))
        return
    await say(call, chat_events(call, [text * 16] * (int(kib) // 16)))


async def endless(call):
    call.head(200, SSE)
    call.put(event(chunk_of(call, {"role": "assistant", "content": ""})))
    for i in range(100000):
        call.put(event(chunk_of(call, {"content": f"tick {i} "})))
        await call.drained()
        await asyncio.sleep(0.02)
    call.end()


async def echo(call):
    """Says in its answer what it was sent."""
    seen = {"headers": call.headers, "body": call.body.decode("utf-8", "replace")}
    call.whole(200, chat_object(call, json.dumps(seen)))


async def gate(call, name):
    """Answers when the test says so (Engine.release[name])."""
    call.head(200, SSE)
    pieces = chat_events(call)
    for p in pieces[:3]:
        call.put(p)
    while name not in call.protocol.engine.release:
        await asyncio.sleep(0.01)
        if call.gone is not None:
            raise Gone()
    for p in pieces[3:]:
        call.put(p)
    call.end()


SCRIPTS = [
    (r"gpt-test|demo|org/.*", plain), (r"plain.*", plain), (r"tools", tools), (r"thinks", thinks),
    (r"calls-all", calls_all), (r"json-person", says_json),
    (r"json", structured),
    (r"err-(\d+)", failing), (r"html-(\d+)", html), (r"words-(\d+)-(\d+).*", words),
    (r"slow-(\d+).*", slow_start), (r"cut-(\d+)(?:-(\d+))?", cut_after), (r"early-(\d+)", end_early),
    (r"no-done", no_done), (r"no-last-line", no_last_empty_line), (r"split", split),
    (r"law-(\w+)-(\d+)", law),
    (r"glued", glued), (r"crlf", crlf), (r"no-space", no_space), (r"decorated", decorated),
    (r"two-on-a-line", two_on_a_line), (r"multi-line", multi_line), (r"garbage-(\d+)", garbage),
    (r"error-event", error_event), (r"half-json", half_json), (r"not-http", not_http),
    (r"cut-json", cut_json), (r"silent.*", silent), (r"stalls.*", stalls), (r"refuses.*", refuses),
    (r"big-(\d+)", big), (r"endless.*", endless), (r"echo", echo), (r"gate-(.*)", gate),
]
