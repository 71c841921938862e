"""llama.cpp's own server as the engine, with a model of random weights

What is checked is what a client gets through the gateway from a real engine: forms, ends, tools by
grammar, and that an engine stops when its asker leaves. What the texts say means nothing.
"""
import base64
import json
import pathlib
import struct
import tempfile

import engines
from client import http, request_bytes, wait_for
from common import check
from suite import Skip

MESSAGES = [{"role": "user", "content": "Say something."}]
TOOL = {"type": "function", "function": {"name": "weather", "strict": True, "parameters": {
    "type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}, "wet": {"type": "boolean"}},
    "required": ["city", "wet"], "additionalProperties": False}}}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "good": {"type": "boolean"}},
          "required": ["name", "good"], "additionalProperties": False}
CHAT, LEGACY, VECTORS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"


class Running:
    """The stacks that the parts share."""
    folder = other = chat = vectors = None


def chat():
    if Running.chat is None:
        Running.folder = tempfile.TemporaryDirectory()
        Running.chat = engines.behind_the_gateway(engines.llama(Running.folder.name))
    return Running.chat


def vectors():
    if Running.vectors is None:
        folder = Running.other = tempfile.TemporaryDirectory()
        Running.vectors = engines.behind_the_gateway(
            engines.llama(folder.name, "--embeddings", "--pooling", "mean"))
    return Running.vectors


def ask(path, s=None, **body):
    """An answer that is complete and has a receipt over the exact bytes."""
    s = s or chat()
    body = {"model": "tiny", **body}
    a = s.http("POST", path, body)
    assert a.complete, a.body
    check(s, body, a)
    return a


def data_of(a):
    return [json.loads(line[6:]) for line in a.body.decode().split("\n")
            if line.startswith("data: ") and line != "data: [DONE]"]


def an_answer():
    r = ask(CHAT, messages=MESSAGES, max_tokens=24).json
    assert r["object"] == "chat.completion" and r["choices"][0]["message"]["content"]
    assert r["choices"][0]["finish_reason"] in ("length", "stop") and r["usage"]["completion_tokens"]


def a_stream():
    a = ask(CHAT, messages=MESSAGES, max_tokens=24, stream=True)
    assert a.events()[-1] == "[DONE]" and a.text()
    assert {c["choices"][0]["finish_reason"] for c in a.chunks()} & {"length", "stop"}
    assert not any(c.get("usage") for c in a.chunks())


def usage_when_asked():
    a = ask(CHAT, messages=MESSAGES, max_tokens=9, stream=True, stream_options={"include_usage": True})
    last = a.chunks()[-1]
    assert last["choices"] == [] and last["usage"]["total_tokens"] > 9


def same_as_direct():
    body = {"model": "tiny", "messages": MESSAGES, "max_tokens": 40, "temperature": 0, "seed": 7,
            "cache_prompt": False}
    direct = http(chat().engine.port, "POST", CHAT, body).json["choices"]
    assert ask(CHAT, **body).json["choices"] == direct
    assert ask(CHAT, **body, stream=True).text() == direct[0]["message"]["content"]


def several_choices():
    r = ask(CHAT, messages=MESSAGES, max_tokens=5, n=3).json
    assert sorted(c["index"] for c in r["choices"]) == [0, 1, 2]
    a = ask(CHAT, messages=MESSAGES, max_tokens=5, n=2, stream=True)
    assert {c["choices"][0]["index"] for c in a.chunks() if c["choices"]} == {0, 1}
    assert a.events()[-1] == "[DONE]"


def logprobs():
    r = ask(CHAT, messages=MESSAGES, max_tokens=4, logprobs=True, top_logprobs=3).json
    assert len(r["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 3


def is_a_call(name, arguments):
    at = json.loads(arguments)
    return name == "weather" and at["city"] in ("Oslo", "Rome") and at["wet"] in (True, False)


def tools():
    r = ask(CHAT, messages=MESSAGES, max_tokens=3000, tools=[TOOL], tool_choice="required").json
    assert r["choices"][0]["finish_reason"] == "tool_calls", r
    for call in r["choices"][0]["message"]["tool_calls"]:
        assert is_a_call(call["function"]["name"], call["function"]["arguments"])


def tools_in_a_stream():
    a = ask(CHAT, messages=MESSAGES, max_tokens=3000, tools=[TOOL], tool_choice="required",
            stream=True)
    names, arguments = {}, {}
    for c in a.chunks():
        for t in (c["choices"][0]["delta"].get("tool_calls") or []) if c["choices"] else []:
            names[t["index"]] = names.get(t["index"], "") + (t["function"].get("name") or "")
            arguments[t["index"]] = (arguments.get(t["index"], "") +
                                     (t["function"].get("arguments") or ""))
    assert arguments and all(is_a_call(names[i], arguments[i]) for i in arguments)


def a_tool_s_result():
    call = {"id": "c1", "type": "function",
            "function": {"name": "weather", "arguments": '{"city":"Oslo","wet":true}'}}
    history = MESSAGES + [{"role": "assistant", "content": None, "tool_calls": [call]},
                          {"role": "tool", "tool_call_id": "c1", "content": "it rains"}]
    assert ask(CHAT, messages=history, max_tokens=9, tools=[TOOL], tool_choice="none").status == 200


def structured():
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}
    r = ask(CHAT, messages=MESSAGES, max_tokens=3000, response_format=wanted).json
    assert set(json.loads(r["choices"][0]["message"]["content"])) == {"name", "good"}


def legacy():
    assert ask(LEGACY, prompt="once", max_tokens=9).json["choices"][0]["text"]
    a = ask(LEGACY, prompt="once", max_tokens=9, stream=True)
    assert a.events()[-1] == "[DONE]" and "".join(c["choices"][0]["text"] for c in a.chunks())


def models():
    r = chat().http("GET", "/v1/models").json
    assert r["object"] == "list" and r["data"][0]["object"] == "model"


def embeddings():
    s = vectors()
    numbers = ask(VECTORS, s, input=["one", "two"], encoding_format="float").json["data"]
    assert [d["index"] for d in numbers] == [0, 1] and len(numbers[0]["embedding"]) == 64
    packed = ask(VECTORS, s, input="one", encoding_format="base64").json["data"][0]["embedding"]
    unpacked = struct.unpack("<64f", base64.b64decode(packed))
    assert all(abs(a - b) < 1e-5 for a, b in zip(unpacked, numbers[0]["embedding"]))


def responses():
    r = ask("/v1/responses", input="Say something.", max_output_tokens=24).json
    assert r["object"] == "response" and r["output"][0]["content"][0]["type"] == "output_text"


def responses_in_a_stream():
    a = ask("/v1/responses", input="Say something.", max_output_tokens=24, stream=True)
    kinds = [e["type"] for e in data_of(a)]
    assert kinds[0] == "response.created"
    assert kinds[-1] in ("response.completed", "response.incomplete"), kinds
    final = data_of(a)[-1]["response"]["output"][-1]["content"][0]["text"]
    assert "".join(e["delta"] for e in data_of(a) if e["type"] == "response.output_text.delta") == final


def messages():
    r = ask("/v1/messages", messages=MESSAGES, max_tokens=9).json
    assert r["type"] == "message" and r["content"][0]["type"] == "text"
    kinds = [e["type"] for e in data_of(ask("/v1/messages", messages=MESSAGES, max_tokens=9,
                                            stream=True))]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"


def errors():
    s = chat()
    a = s.http("POST", CHAT, {"model": "tiny", "messages": "none"})
    assert 400 <= a.status < 500 and a.json["error"]["message"]
    a = s.http("POST", CHAT, {"model": "tiny", "max_tokens": 1,
                              "messages": [{"role": "user", "content": "x" * 200000}]})
    assert a.status == 400 and "context" in a.json["error"]["message"]


def busy():
    slots = http(chat().engine.port, "GET", "/slots").json
    return sum(slot["is_processing"] for slot in slots)


LONG = {"model": "tiny", "messages": MESSAGES, "max_tokens": 1000000, "ignore_eos": True}


def leaving_a_stream():
    wait_for(lambda: busy() == 0)
    with chat().conn() as c:
        c.chunk(c.ask("POST", CHAT, {**LONG, "stream": True}))
        wait_for(lambda: busy() == 1)
    wait_for(lambda: busy() == 0)


def established(s):
    """Connections to the engine that both ends still hold."""
    port = f"{s.engine.port:04X}"
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(f[2].endswith(":" + port) and f[3] == "01" for f in map(str.split, lines))


def leaving_an_answer():
    """This engine goes on with an answer that is no stream whoever leaves; what can be asked of us is
    that its connection is closed."""
    wait_for(lambda: busy() == 0)
    with chat().conn() as c:
        c.send(request_bytes("POST", CHAT, LONG, (), c.port))
        wait_for(lambda: busy() == 1)
        held = established(chat())
        assert held >= 1
    wait_for(lambda: established(chat()) < held)


def the_end():
    running = [s for s in (Running.chat, Running.vectors) if s is not None]
    if not running:
        raise Skip("nothing was started")
    for s in running:
        s.stop()
    Running.chat = Running.vectors = None


def parts():
    return [("chat completions answer", an_answer), ("chat completions stream", a_stream),
            ("a usage chunk comes when it is asked for", usage_when_asked),
            ("the gateway changes no word of the engine's", same_as_direct),
            ("several choices come back", several_choices), ("logprobs come back", logprobs),
            ("tools are called by grammar", tools),
            ("tools are called by grammar in a stream", tools_in_a_stream),
            ("a tool's result is taken", a_tool_s_result),
            ("structured outputs fit their schema", structured),
            ("legacy completions answer and stream", legacy), ("models are listed", models),
            ("embeddings come as numbers and as base64", embeddings),
            ("responses answer", responses), ("responses stream", responses_in_a_stream),
            ("the messages API answers and streams", messages),
            ("errors of the engine keep their status", errors),
            ("leaving a stream stops the engine", leaving_a_stream),
            ("leaving an answer closes the connection to the engine", leaving_an_answer),
            ("the programs end cleanly", the_end)]
