"""What operators expect: traces, several engines, keys with rules, usage"""
import json

import common
from client import chat, http
from suite import test

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def stack():
    return common.shared("operators")


def finish():
    common.finish("operators")


def seen(answer):
    """What the engine's script "echo" was sent."""
    assert answer.status == 200, answer.body
    return json.loads(answer.json["choices"][0]["message"]["content"])


@test("a trace goes through to the engine, written as the standard says")
def _():
    got = seen(chat(stack().port, "echo", headers=[("traceparent", PARENT), ("tracestate", "a=b"),
                                                   ("TraceState", "c=d")]))["headers"]
    assert got["traceparent"] == PARENT and got["tracestate"] == "a=b,c=d", got


@test("what is no trace goes nowhere, and without one none is made")
def _():
    for headers in ([], [("traceparent", "00-junk-01"), ("tracestate", "a=b")],
                    [("traceparent", PARENT), ("traceparent", PARENT)]):
        got = seen(chat(stack().port, "echo", headers=headers))["headers"]
        assert "traceparent" not in got and "tracestate" not in got, got


@test("every answer has a request id, a version and its time, once each; the engine gets the id")
def _():
    s = stack()
    answers = [chat(s.port, "echo"), chat(s.port, "gpt-test", stream=True), chat(s.port, "err-429"),
               http(s.port, "GET", "/v1/models"), http(s.port, "GET", "/v1/receipts/none"),
               http(s.port, "GET", "/nowhere"), http(s.port, "GET", "/healthz")]
    for a in answers:
        assert len(a.all("x-request-id")) == 1 and a.all("openai-version") == ["2020-10-01"], a.headers
        assert len(a.all("openai-processing-ms")) == 1 and int(a.header("openai-processing-ms")) >= 0
    assert seen(answers[0])["headers"]["x-request-id"] == answers[0].header("x-request-id")
