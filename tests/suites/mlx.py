"""MLX's server as the engine: another family, which knows chat completions and no responses

So that /v1/responses is bridged here, found out by asking, over an engine that is real.
"""
import tempfile

import engines
from client import http, wait_for
from llama import CHAT, LEGACY, MESSAGES, ask, data_of, established
from suite import Skip

MODEL = "default_model"


class Running:
    """The stack that the parts share."""
    stack = folder = None


def stack():
    if Running.stack is None:
        Running.folder = tempfile.TemporaryDirectory()
        Running.stack = engines.behind_the_gateway(engines.mlx(Running.folder.name))
    return Running.stack


def say(path, **body):
    return ask(path, stack(), model=MODEL, **body)


def an_answer():
    r = say(CHAT, messages=MESSAGES, max_tokens=9).json
    assert r["choices"][0]["message"]["content"] and r["usage"]["completion_tokens"] == 9


def a_stream():
    a = say(CHAT, messages=MESSAGES, max_tokens=9, stream=True)
    assert a.events()[-1] == "[DONE]" and a.text()
    assert not any(c.get("usage") for c in a.chunks())
    a = say(CHAT, messages=MESSAGES, max_tokens=9, stream=True, stream_options={"include_usage": True})
    assert [c["usage"]["completion_tokens"] for c in a.chunks() if c.get("usage")] == [9]


def same_as_direct():
    body = {"model": MODEL, "messages": MESSAGES, "max_tokens": 30, "temperature": 0}
    direct = http(stack().engine.port, "POST", CHAT, body).json["choices"]
    assert ask(CHAT, stack(), **body).json["choices"] == direct
    assert ask(CHAT, stack(), **body, stream=True).text() == direct[0]["message"]["content"]


def legacy():
    assert say(LEGACY, prompt="once", max_tokens=9).json["choices"][0]["text"]
    a = say(LEGACY, prompt="once", max_tokens=9, stream=True)
    assert a.events()[-1] == "[DONE]" and "".join(c["choices"][0]["text"] for c in a.chunks())


def models():
    assert stack().http("GET", "/v1/models").json["object"] == "list"


def responses():
    r = say("/v1/responses", input="Say something.", max_output_tokens=16).json
    assert r["object"] == "response" and r["status"] == "incomplete"
    assert r["incomplete_details"] == {"reason": "max_output_tokens"}
    assert r["output"][-1]["content"][0]["text"] and r["usage"]["output_tokens"] == 16


def responses_in_a_stream():
    events = data_of(say("/v1/responses", input="Say something.", max_output_tokens=16, stream=True))
    kinds = [e["type"] for e in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.incomplete", kinds
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    said = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    assert said == events[-1]["response"]["output"][-1]["content"][0]["text"]


def a_conversation():
    first = say("/v1/responses", input="Say something.", max_output_tokens=16).json
    second = say("/v1/responses", input="And more.", max_output_tokens=16,
                 previous_response_id=first["id"]).json
    assert second["previous_response_id"] == first["id"]
    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"] + 16


def errors():
    a = stack().http("POST", CHAT, {"model": MODEL, "messages": "none"})
    assert a.status >= 400 and a.error["message"]
    assert stack().http("POST", "/v1/embeddings", {"model": MODEL, "input": "x"}).status == 404


def leaving():
    s = stack()
    with s.conn() as c:
        c.chunk(c.ask("POST", CHAT, {"model": MODEL, "messages": MESSAGES, "max_tokens": 100000,
                                     "stream": True}))
        held = established(s)
        assert held >= 1
    wait_for(lambda: established(s) < held)


def the_end():
    if Running.stack is None:
        raise Skip("nothing was started")
    Running.stack.stop()
    Running.stack = None


def parts():
    return [("chat completions answer", an_answer), ("chat completions stream", a_stream),
            ("the gateway changes no word of the engine's", same_as_direct),
            ("legacy completions answer and stream", legacy), ("models are listed", models),
            ("responses are made of its chat completions", responses),
            ("responses are made of its chat completions in a stream", responses_in_a_stream),
            ("a response goes on from the one before", a_conversation),
            ("errors are errors", errors),
            ("leaving closes the connection to the engine", leaving),
            ("the programs end cleanly", the_end)]
