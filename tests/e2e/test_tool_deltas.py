"""Tool calls that an engine streams in the ways engines get wrong: mended where that is set"""
import json

import common
from air import without_comments
from client import chat_body
from common import check
from engine import chunk_of, event, say
from suite import test


def mending():
    return common.shared("mending", worker={"tool_deltas": "mend"})


def passing():
    return common.shared("passing-deltas")


def finish():
    common.finish("mending")
    common.finish("passing-deltas")


ZURICH = '{"city":"Zürich 🙂","quote":"\\"}"}'
WANT = [("weather", ZURICH), ("weather", "{}"), ("time", '{"zone":1}')]


def cuts(text):
    return [text[i:i + 5] for i in range(0, len(text), 5)]


def whole(name, arguments, **more):
    return {**more, "function": {"name": name, "arguments": arguments}}


def parts(i, name, arguments, first, each=None, head=None):
    """A call in many deltas: `first` and `each` are members of the first and of every later one."""
    return [{**first, "function": {"name": name, "arguments": "", **(head or {})}}] + [
        {**(each or {}), "function": {"arguments": c, **(head or {})}} for c in cuts(arguments)]


def in_parts(first, each, head=None):
    """first, each: give the members for the number of a call."""
    return [[d] for i, (name, arguments) in enumerate(WANT)
            for d in parts(i, name, arguments, first(i), each(i), head and head(name))]


TYPE = {"type": "function"}
# How engines break them: the deltas' tool_calls one by one, and the reason that they finish with.
BROKEN = {
    "no index": (in_parts(lambda i: {"id": f"c{i}", **TYPE}, lambda i: {}), "tool_calls"),
    "from one": (in_parts(lambda i: {"index": i + 1, "id": f"c{i}", **TYPE},
                          lambda i: {"index": i + 1}), "tool_calls"),
    "all zero": (in_parts(lambda i: {"index": 0, "id": f"c{i}", **TYPE}, lambda i: {"index": 0}),
                 "tool_calls"),
    "no id and no type": (in_parts(lambda i: {"index": i}, lambda i: {"index": i}), "tool_calls"),
    "said again": (in_parts(lambda i: {"index": i, "id": f"c{i}", **TYPE},
                            lambda i: {"index": i, "id": f"c{i}", **TYPE},
                            lambda name: {"name": name}), "tool_calls"),
    "emptied": (in_parts(lambda i: {"index": i, "id": f"c{i}", **TYPE},
                         lambda i: {"index": i, "id": "", "type": "function"}), "stop"),
    "an object": ([[whole(n, json.loads(a), index=i, id=f"c{i}", type="function")]
                   for i, (n, a) in enumerate(WANT)], "stop"),
    "whole, with nothing": ([[whole(n, a)] for n, a in WANT], "stop"),
    "all in one, with nothing": ([[whole(n, a) for n, a in WANT]], "stop"),
    "without a reason": ([[whole(n, a, index=i, id=f"c{i}", type="function")]
                          for i, (n, a) in enumerate(WANT)], None),
}
RIGHT = (in_parts(lambda i: {"index": i, "id": f"c{i}", **TYPE}, lambda i: {"index": i}),
         "tool_calls")


def pieces_of(call, deltas, reason):
    out = [chunk_of(call, {"role": "assistant", "content": None})]
    out += [chunk_of(call, {"tool_calls": d}) for d in deltas]
    if reason is not None:
        out.append(chunk_of(call, {}, reason))
    return [event(p) for p in out] + [b"data: [DONE]\n\n"]


def teach(engine):
    """Models that say all of the above; their names."""
    def script_of(deltas, reason):
        async def script(call):
            await say(call, pieces_of(call, deltas, reason))
        return script
    names = {"sdk " + name: says for name, says in {**BROKEN, "right": RIGHT}.items()}
    engine.scripts.update({name: script_of(*says) for name, says in names.items()})
    return list(names)


def streamed(s, name, deltas, reason):
    """What came, and what the engine said."""
    said = []

    async def script(call):
        said.extend(pieces_of(call, deltas, reason))
        await say(call, said)
    s.engine.scripts[name] = script
    body = chat_body(name, True)
    a = s.http("POST", "/v1/chat/completions", body)
    assert a.complete, a.body
    check(s, body, a)
    return a, b"".join(said)


def join(whole_, delta):
    """As openai's own client puts deltas together: by index, joining texts."""
    for key, value in delta.items():
        if whole_.get(key) is None or key in ("index", "type"):
            whole_[key] = value
        elif isinstance(value, str):
            whole_[key] += value
        elif isinstance(value, dict):
            join(whole_[key], value)
    return whole_


def put_together(chunks):
    """The calls, by a client that forgives nothing."""
    calls, reasons = [], []
    for c in chunks:
        choice = c["choices"][0]
        if choice["finish_reason"] is not None:
            reasons.append(choice["finish_reason"])
        for d in choice["delta"].get("tool_calls") or []:
            assert type(d["index"]) is int, d
            assert d["index"] <= len(calls), (d, len(calls))
            if d["index"] == len(calls):
                assert d["id"] and d["type"] == "function" and d["function"]["name"], d
                calls.append({})
            assert isinstance(d["function"].get("arguments", ""), str), d
            join(calls[d["index"]], d)
    assert reasons == ["tool_calls"], reasons
    return calls


@test("5.3 what engines get wrong in tool deltas is mended where that is set, and the receipt holds")
def _():
    s = mending()
    for name, (deltas, reason) in BROKEN.items():
        a, said = streamed(s, "mended " + name, deltas, reason)
        calls = put_together(a.chunks())
        got = [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls]
        assert got == [(n, json.loads(j)) for n, j in WANT], (name, calls)
        assert len({c["id"] for c in calls}) == len(calls), (name, calls)
        assert without_comments(bytes(a.body)) != said, name


@test("5.3 what is right in them passes byte for byte, mended or not; what is wrong only where not")
def _():
    a, said = streamed(mending(), "right", *RIGHT)
    assert len(put_together(a.chunks())) == len(WANT)
    assert without_comments(bytes(a.body)) == said
    for name, (deltas, reason) in {**BROKEN, "right": RIGHT}.items():
        a, said = streamed(passing(), "passed " + name, deltas, reason)
        assert without_comments(bytes(a.body)) == said, name
