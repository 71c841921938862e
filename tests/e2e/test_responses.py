"""The Responses API, over an engine that knows chat completions only, and over one that knows it"""
import hashlib
import json
import pathlib

import common
from client import PROMPT_CANARY, http, wait_for
from engine import ANSWER_CANARY, Engine, SSE, WORDS, chunk_of, event
from stack import Stack
from suite import test

TEXT = "".join(WORDS)
RECORDED = pathlib.Path(__file__).resolve().parent / "recorded"
REQUIRED = """id object created_at completed_at status incomplete_details model previous_response_id
instructions output error tools tool_choice truncation parallel_tool_calls text top_p presence_penalty
frequency_penalty top_logprobs temperature reasoning usage max_output_tokens max_tool_calls store
background service_tier metadata safety_identifier prompt_cache_key""".split()
TERMINAL = ("response.completed", "response.incomplete", "response.failed")


def stack():
    return common.shared("responses")


def finish():
    common.finish("responses")


def ask(model, headers=(), port=None, **more):
    body = {"model": model, "input": f"say something about {PROMPT_CANARY}", **more}
    return http(port or stack().port, "POST", "/v1/responses", body, headers)


def events_of(answer):
    """The events of a stream, checked: names, numbers, and what must come before what."""
    assert answer.status == 200 and answer.complete, vars(answer)
    assert answer.header("content-type") == "text/event-stream; charset=utf-8"
    blocks = [b for b in answer.body.decode().split("\n\n") if b and not b.startswith(":")]
    assert blocks[-1] == "data: [DONE]" and answer.body.endswith(b"data: [DONE]\n\n")
    out = []
    for block in blocks[:-1]:
        name, data = block.split("\n")
        assert name.startswith("event: ") and data.startswith("data: "), block
        out.append(json.loads(data[6:]))
        assert out[-1]["type"] == name[7:] and out[-1]["sequence_number"] == len(out) - 1, block
    check_order(out)
    return out


def check_order(events):
    kinds = [e["type"] for e in events]
    assert kinds[0] == "response.created" and "response.in_progress" in kinds[:3]
    assert kinds[-1] in TERMINAL and sum(k in TERMINAL for k in kinds) == 1, kinds
    items, parts = {}, {}
    for e in events:
        kind, at = e["type"], e.get("output_index")
        if kind == "response.output_item.added":
            assert at not in items and at == len(items)
            items[at] = e["item"]
        elif kind == "response.output_item.done":
            assert items[at]["id"] == e["item"]["id"]
            items[at] = e["item"]
        elif at is not None:
            assert items[at]["id"] == e["item_id"] and items[at]["status"] == "in_progress"
        if kind.endswith(".delta"):
            parts[e["item_id"]] = parts.get(e["item_id"], "") + e["delta"]
        for member in ("text", "arguments", "input"):
            if kind.endswith(".done") and member in e and e["type"] != "response.content_part.done":
                assert parts.get(e["item_id"], "") == e[member], e
    last = events[-1]["response"]
    if last["status"] in ("completed", "incomplete"):
        assert last["output"] == [items[i] for i in sorted(items)]
    else:
        check_broken(events, last["output"])
    for e in (events[0], events[-1]):
        missing = [k for k in REQUIRED if k not in e["response"]]
        assert not missing, missing


def check_broken(events, output):
    """What an answer that failed had begun is in its object, and was not said to be done."""
    done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    for item in output:
        assert (item in done) == (item["status"] == "completed"), (item, done)
    assert all(item in output for item in done)


def text_of(response):
    return "".join(p["text"] for item in response["output"] if item["type"] == "message"
                   for p in item["content"] if p["type"] == "output_text")


@test("a response has every member that clients require, and what the engine said")
def _():
    a = ask("gpt-test")
    assert a.status == 200 and a.header("content-type") == "application/json", vars(a)
    r = a.json
    assert not [k for k in REQUIRED if k not in r]
    assert r["object"] == "response" and r["status"] == "completed" and text_of(r) == TEXT
    assert r["usage"]["input_tokens"] == 7 and r["usage"]["total_tokens"] == 17
    assert a.header("x-receipt-id")


@test("a stream of a response has the whole order of events, and the receipt before the last one")
def _():
    a = ask("gpt-test", stream=True)
    events = events_of(a)
    assert text_of(events[-1]["response"]) == TEXT
    blocks = a.body.decode().split("\n\n")
    assert blocks[-4].startswith(": receipt ") and blocks[-3].startswith("event: response.completed")


@test("the receipt of a bridged response is found by its id, and covers the bytes that were exchanged")
def _():
    for stream in (False, True):
        body = {"model": "gpt-test", "input": PROMPT_CANARY, "stream": stream}
        a = http(stack().port, "POST", "/v1/responses", body)
        name = events_of(a)[-1]["response"]["id"] if stream else a.json["id"]
        by_id = http(stack().port, "GET", f"/v1/receipts/{name}")
        assert by_id.status == 200 and by_id.json["id"] == a.header("x-receipt-id"), by_id.body
        common.check(stack(), body, a)
        again = http(stack().port, "GET", f"/v1/responses/{name}")
        common.check(stack(), b"", again)
        assert again.header("x-receipt-id") != a.header("x-receipt-id")
        assert http(stack().port, "GET", f"/v1/receipts/{name}").json == by_id.json


@test("a bridged stream says each token while the engine is still speaking")
def _():
    s = stack()
    with s.conn() as c:
        a = c.ask("POST", "/v1/responses", {"model": "gate-bridged", "input": "x", "stream": True})
        while a.body.count(b"output_text.delta\n") < 2:
            assert c.chunk(a)
        assert s.engine.of("gate-bridged")[-1].ended is None
        s.engine.release["bridged"] = True
        c.rest(a)
    events_of(a)


@test("who leaves a bridged stream is gone at the engine too")
def _():
    s = stack()
    with s.conn() as c:
        a = c.ask("POST", "/v1/responses", {"model": "endless-bridged", "input": "x", "stream": True})
        while b"output_text.delta" not in a.body:
            assert c.chunk(a)
    wait_for(lambda: s.engine.of("endless-bridged")[-1].gone is not None)


@test("a slow reader of a bridged stream holds the engine back")
def _():
    s = stack()
    with s.conn() as c:
        a = c.ask("POST", "/v1/responses", {"model": "big-65536", "input": "x", "stream": True})
        while a.body.count(b"output_text.delta\n") < 2:
            assert c.chunk(a)
        call = s.engine.of("big-65536")[-1]
        wait_for(lambda: not call.protocol.may_write.is_set())
        assert call.written < 48 << 20, call.written


@test("however the engine writes its stream, the response is the same")
def _():
    def same(model):
        events = events_of(ask(model, stream=True))
        for e in events:
            e.pop("item_id", None)
            if "item" in e:
                e["item"].pop("id")
        return [e for e in events if "response" not in e]
    want = same("gpt-test")
    for model in ("glued", "crlf", "no-space", "decorated", "two-on-a-line", "multi-line",
                  "no-done", "no-last-line"):
        assert same(model) == want, model


@test("reasoning comes as an item in front of the message, as a summary when one is asked for")
def _():
    for stream in (False, True):
        a = ask("thinks", stream=stream)
        r = events_of(a)[-1]["response"] if stream else a.json
        assert [i["type"] for i in r["output"]] == ["reasoning", "message"], r
        assert r["output"][0]["content"] == [{"type": "reasoning_text", "text": "hm, well"}]
        a = ask("thinks", stream=stream, reasoning={"summary": "auto"},
                include=["reasoning.encrypted_content"])
        r = events_of(a)[-1]["response"] if stream else a.json
        item = r["output"][0]
        assert item["summary"] == [{"type": "summary_text", "text": "hm, well"}]
        b = ask("thinks", input=[{"type": "reasoning", "summary": [],
                                  "encrypted_content": item["encrypted_content"]},
                                 {"role": "assistant", "content": "yes"}])
        assert b.status == 200
        messages = stack().engine.of("thinks")[-1].json["messages"]
        assert messages == [{"role": "assistant", "content": "yes", "reasoning_content": "hm, well"}]


@test("an answer that its limit cut is incomplete")
def _():
    for stream in (False, True):
        a = ask("thinks", stream=stream, max_output_tokens=20)
        r = events_of(a)[-1]["response"] if stream else a.json
        assert r["status"] == "incomplete" and r["max_output_tokens"] == 20
        assert r["incomplete_details"] == {"reason": "max_output_tokens"}
    sent = stack().engine.of("thinks")[-1].json
    assert sent["max_tokens"] == sent["max_completion_tokens"] == 20


@test("tools are called side by side, streamed and not")
def _():
    tools = [{"type": "function", "name": n, "parameters": {"type": "object"}}
             for n in ("weather", "time")]
    for stream in (False, True):
        a = ask("tools", stream=stream, tools=tools)
        r = events_of(a)[-1]["response"] if stream else a.json
        calls = [(i["type"], i["call_id"], i["name"], i["arguments"]) for i in r["output"]]
        assert calls == [("function_call", "call_1", "weather", '{"city":"Zürich","days":3}'),
                         ("function_call", "call_2", "time", "{}")], calls


@test("a recorded turn of a coding agent reaches response.completed")
def _():
    body = json.loads((RECORDED / "agent-turn.json").read_text())
    a = http(stack().port, "POST", "/v1/responses", body,
             [("originator", "agent"), ("session_id", "019a9c7e"), ("openai-beta", "responses=experimental")])
    events = events_of(a)
    assert events[-1]["type"] == "response.completed"
    assert a.header("x-sealgate-tools-left-out") == "web_search"
    seen = {(i["type"], i["name"], i.get("namespace")): i for i in events[-1]["response"]["output"]}
    assert set(seen) == {("function_call", "shell", None), ("function_call", "update_plan", None),
                         ("custom_tool_call", "apply_patch", None),
                         ("function_call", "search", "mcp__docs__")}, seen
    assert seen["custom_tool_call", "apply_patch", None]["input"] == "ü\n"
    sent = stack().engine.of("calls-all")[-1].json
    roles = [m["role"] for m in sent["messages"]]
    assert roles == ["system", "user", "user", "assistant", "tool", "assistant", "tool", "assistant",
                     "tool"], roles
    assert sent["messages"][2]["content"][1]["type"] == "image_url"
    assert sent["messages"][3]["content"] == "I will look at the test first."
    assert sent["messages"][3]["tool_calls"][0]["id"] == "call_Yx1"
    assert json.loads(sent["messages"][5]["tool_calls"][0]["function"]["arguments"])["input"] == \
        body["input"][8]["input"]
    assert sent["client_metadata"] == body["client_metadata"] and "store" not in sent


@test("a recorded turn of an agent that brings its tools in its input can call them")
def _():
    body = json.loads((RECORDED / "agent-tools.json").read_text())
    events = events_of(http(stack().port, "POST", "/v1/responses", body))
    assert events[-1]["type"] == "response.completed"
    seen = [(i["type"], i["namespace"], i["name"]) for i in events[-1]["response"]["output"]]
    assert seen == [("custom_tool_call", "functions", "exec"), ("function_call", "functions", "wait"),
                    ("function_call", "clock", "sleep")], seen
    assert events[-1]["response"]["tools"] == []
    sent = stack().engine.of("calls-all")[-1].json
    assert [m["role"] for m in sent["messages"]] == ["system", "user", "user"], sent["messages"]
    first = ask("calls-all", input=body["input"], stream=True)
    r = events_of(first)[-1]["response"]
    again = events_of(ask("calls-all", previous_response_id=r["id"], stream=True, input=[
        *({"type": i["type"] + "_output", "call_id": i["call_id"], "output": "ok"} for i in r["output"]),
        body["input"][0]]))[-1]["response"]
    assert len(again["output"]) == 3, again["output"]


@test("a call that breaks off is not said to be done, so that no agent runs it")
def _():
    async def half_call(call):
        if call.path != "/v1/chat/completions":
            call.whole(404, {"detail": "Not Found"})
            return
        deltas = [{"role": "assistant", "content": "I look."}, {"tool_calls": [{
            "index": 0, "id": "call_1", "type": "function",
            "function": {"name": "shell", "arguments": '{"command":"rm -r build"}'}}]}]
        call.head(200, SSE)
        for d in deltas:
            call.put(event(chunk_of(call, d)))
        call.cut()
    stack().engine.scripts["half-call"] = half_call
    events = events_of(ask("half-call", stream=True, tools=[{"type": "function", "name": "shell"}]))
    assert [e["item"]["type"] for e in events if e["type"] == "response.output_item.done"] == ["message"]
    assert not [e for e in events if e["type"] == "response.function_call_arguments.done"]
    output = events[-1]["response"]["output"]
    assert [i["status"] for i in output] == ["completed", "incomplete"], output
    assert output[1]["arguments"] == '{"command":"rm -r build"}'


@test("a conversation that may be cut is answered when it fits, and refused by the engine when not")
def _():
    a = ask("gpt-test", truncation="auto")
    assert a.status == 200 and a.json["truncation"] == "disabled", a.body
    a = ask("err-400", truncation="auto")
    assert a.status == 400 and a.json["error"]["code"] == "context_length_exceeded", a.body


@test("what chat completions cannot express is refused by the name of the parameter")
def _():
    assert ask("gpt-test").status == 200  # from now on what the engine knows is known
    for more, param in (({"conversation": "c"}, "conversation"),
                        ({"truncation": "middle"}, "truncation"),
                        ({"input": [{"type": "web_search_call"}]}, "input[0].type"),
                        ({"input": [{"role": "user", "content": [{"type": "input_file",
                                                                  "file_url": "https://x"}]}]},
                         "input[0].content[0].file_url"),
                        ({"temperature": "hot"}, "temperature")):
        a = ask("gpt-test", **more)
        assert a.status == 400 and a.json["error"]["param"] == param, a.body
    before = len(stack().engine.calls)
    assert ask("gpt-test", conversation="c").status == 400
    assert len(stack().engine.calls) == before


@test("the engine's refusals keep their status, and no answer is taken for one that was cut")
def _():
    for status in (400, 401, 404, 429, 500, 503):
        for stream in (False, True):
            a = ask(f"err-{status}", stream=stream)
            assert a.status == status and a.json["error"]["message"], (status, a.body)
    for model in ("half-json", "cut-json", "not-http", "refuses-bridged"):
        a = ask(model)
        assert a.status == 502 and a.json["error"]["code"], (model, a.body)


@test("an engine that breaks off leads to an error event and response.failed")
def _():
    for model in ("cut-4", "cut-4-9", "early-4", "garbage-4", "error-event"):
        events = events_of(ask(model, stream=True))
        assert [e["type"] for e in events[-2:]] == ["error", "response.failed"], model
        error, failed = events[-2], events[-1]["response"]
        assert error["message"] and error["error"]["message"] == error["message"]
        assert failed["status"] == "failed" and failed["error"]["code"] == "server_error"
        assert failed["output"][0]["status"] == "incomplete", failed
    assert failed["error"]["message"] == "the engine ran out of memory"


# ---- an engine that knows the Responses API ----

def native_events(call):
    response = {"id": "resp_native", "object": "response", "status": "completed",
                "output": [{"type": "message", "content": [{"type": "output_text",
                                                             "text": ANSWER_CANARY}]}]}
    named = [("response.created", {"response": {**response, "status": "in_progress", "output": []}}),
             ("response.output_text.delta", {"delta": ANSWER_CANARY}),
             ("response.completed", {"response": response})]
    return [f"event: {n}\n".encode() + event({"type": n, "sequence_number": i, **d})
            for i, (n, d) in enumerate(named)]


async def native(call):
    if call.path != "/v1/responses":
        call.whole(404, {"detail": "Not Found"})
    elif call.json.get("model") != "native":
        call.whole(404, {"error": {"message": "no such model", "code": "model_not_found"}})
    elif call.streams:
        call.head(200, SSE)
        for e in native_events(call):
            call.put(e)
        call.end()
    else:
        call.whole(200, {"id": "resp_native", "object": "response", "marked": call.json})


@test("an engine that knows the Responses API is asked in its own words, and its bytes pass")
def _():
    with Stack() as s:
        s.engine.scripts.update(native=native, other=native)
        a = ask("other", port=s.port)
        assert a.status == 404 and "error" in a.json, a.body
        a = ask("native", port=s.port, conversation="c", anything=[1])
        assert a.json["marked"]["anything"] == [1], a.body
        a = ask("native", port=s.port, stream=True)
        passed = [b for b in a.body.decode().split("\n\n") if not b.startswith(":")]
        assert "\n\n".join(passed).encode() == b"".join(native_events(None)), a.body
        assert [c.path for c in s.engine.of("native")] == ["/v1/responses"] * 2
        assert [c.path for c in s.engine.of("other")] == ["/v1/responses", "/v1/chat/completions"]


async def native_cut(call):
    call.head(200, SSE)
    for e in native_events(call)[:2]:
        call.put(e)
        await call.drained()
    call.cut()


def broken_with(answer, number):
    """A stream that ended in an error event of the one form that all clients read, and was cut."""
    assert answer.status == 200 and not answer.complete, vars(answer)
    name, data = [b for b in answer.body.decode().split("\n\n") if b and not b.startswith(":")][-1].split("\n")
    said = json.loads(data[len("data: "):])
    assert name == "event: error" and said["type"] == "error", data
    assert said["message"] == said["error"]["message"] and said["code"] == said["error"]["code"]
    assert said["param"] is None and said["sequence_number"] == number, said


@test("an engine's own stream of events that breaks off ends in an error that all clients read")
def _():
    with Stack(worker={"responses": "native"}) as s:
        s.engine.scripts["native"] = native_cut
        broken_with(ask("native", port=s.port, stream=True), 2)


@test("a worker that dies in the middle of a response leaves an error that all clients read")
def _():
    with Stack() as s:
        with s.conn() as c:
            a = c.ask("POST", "/v1/responses", {"model": "gate-dies", "input": "x", "stream": True})
            while a.body.count(b"output_text.delta\n") < 2:
                assert c.chunk(a)
            s.workers[0].kill()
            c.rest(a)
        broken_with(a, json.loads(a.body.decode().split("data: ")[-2].split("\n")[0])["sequence_number"] + 1)
        s.workers[0] = s.start_worker(0)


@test("a response of megabytes arrives whole, streamed and not")
def _():
    for stream in (False, True):
        a = ask("big-2048", stream=stream)
        r = events_of(a)[-1]["response"] if stream else a.json
        assert len(text_of(r)) == 2048 * 1024 and r["status"] == "completed"


@test("which way a response goes is found out once, or set")
def _():
    s = stack()
    ask("gpt-test")
    before = len(s.engine.calls)
    ask("gpt-test")
    assert [c.path for c in s.engine.calls[before:]] == ["/v1/chat/completions"]
    with Stack(worker={"responses": "bridge"}) as t:
        assert text_of(ask("gpt-test", port=t.port).json) == TEXT
        assert [c.path for c in t.engine.calls] == ["/v1/chat/completions"]
    with Stack(worker={"responses": "native"}) as t:
        assert ask("gpt-test", port=t.port).status == 404
        assert [c.path for c in t.engine.calls] == ["/v1/responses"]


@test("tools that a server would run are refused where that is set")
def _():
    with Stack(worker={"responses_tools": "refuse"}) as t:
        a = ask("gpt-test", port=t.port, tools=[{"type": "web_search"}])
        assert a.status == 400 and a.json["error"]["param"] == "tools[0].type", a.body


@test("the built-in engine answers the Responses API")
def _():
    with Stack(worker={"engine": "demo", "demo_pace": "0ms"}) as t:
        tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}}]
        assert text_of(ask("demo", port=t.port).json)
        assert text_of(events_of(ask("demo", port=t.port, stream=True))[-1]["response"])
        r = ask("demo", port=t.port, tools=tools, tool_choice="required").json
        assert r["output"][0]["name"] == "f", r
        r = ask("demo", port=t.port, text={"format": {
            "type": "json_schema", "name": "n", "schema": {
                "type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}})
        assert isinstance(json.loads(text_of(r.json))["a"], int)


# ---- what is kept ----

def get(name, headers=(), port=None, method="GET"):
    return http(port or stack().port, method, f"/v1/responses/{name}", None, headers)


def is_missing(answer, code="not_found"):
    assert answer.status == 404 and answer.json["error"]["code"] == code, (answer.status, answer.body)
    return True


@test("a response is kept, listed with its input, and wiped when it is deleted")
def _():
    for stream in (False, True):
        a = ask("gpt-test", stream=stream, metadata={"a": "b"})
        r = events_of(a)[-1]["response"] if stream else a.json
        assert r["store"] is True
        again = get(r["id"])
        assert again.status == 200 and again.json == r, again.body
        common.check(stack(), b"", again)
        items = get(r["id"] + "/input_items").json
        assert [i["content"][0]["text"] for i in items["data"]] == [f"say something about {PROMPT_CANARY}"]
        assert items["data"][0]["id"] == items["first_id"] and items["has_more"] is False
        assert get(r["id"] + "?stream=true").status == 400
        assert get(r["id"] + "/cancel", method="POST").status == 400
        gone = get(r["id"], method="DELETE")
        assert gone.json == {"id": r["id"], "object": "response", "deleted": True}, gone.body
        assert is_missing(get(r["id"])) and is_missing(get(r["id"], method="DELETE"))
        assert is_missing(get(r["id"] + "/input_items"))
        assert is_missing(ask("gpt-test", previous_response_id=r["id"]), "previous_response_not_found")


@test("nothing is kept that should not be, and an unknown id is never an empty context")
def _():
    r = ask("gpt-test", store=False).json
    assert r["store"] is False and is_missing(get(r["id"]))
    before = len(stack().engine.calls)
    for name in ("resp_unknown", r["id"], "x"):
        a = ask("gpt-test", previous_response_id=name)
        assert is_missing(a, "previous_response_not_found")
        assert a.json["error"]["param"] == "previous_response_id"
    assert len(stack().engine.calls) == before
    a = get("resp_1/what")
    assert a.status == 404 and a.json["error"]["code"] == "unknown_url"


@test("previous_response_id brings back all that came before, but for the instructions")
def _():
    first = ask("thinks", instructions="be kind", input="one").json
    second = ask("thinks", previous_response_id=first["id"], instructions="be brief", stream=True,
                 input=[{"role": "user", "content": "two"}])
    second = events_of(second)[-1]["response"]
    assert second["previous_response_id"] == first["id"]
    get(first["id"], method="DELETE")
    assert ask("thinks", previous_response_id=second["id"], input="three").status == 200
    turn = {"role": "assistant", "content": "yes", "reasoning_content": "hm, well"}
    assert stack().engine.of("thinks")[-1].json["messages"] == [
        {"role": "user", "content": "one"}, turn, {"role": "user", "content": "two"}, turn,
        {"role": "user", "content": "three"}]
    assert stack().engine.of("thinks")[-2].json["messages"][0] == {"role": "system",
                                                                   "content": "be brief"}
    assert len(get(second["id"] + "/input_items").json["data"]) == 1


@test("a reference to an item brings it back, and one to nothing is a 404")
def _():
    def ref(item):
        return {"type": "item_reference", "id": item["id"]}
    tools = [{"type": "function", "name": n, "parameters": {}} for n in ("weather", "time")]
    first = ask("tools", input=[{"role": "user", "content": "one"}], tools=tools).json
    listed = get(first["id"] + "/input_items").json["data"]
    second = ask("thinks", input=[ref(listed[0]), *map(ref, first["output"]), *(
        {"type": "function_call_output", "call_id": i["call_id"], "output": "ok"}
        for i in first["output"])])
    assert second.status == 200, second.body
    messages = stack().engine.of("thinks")[-1].json["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "tool"], messages
    assert [c["function"]["name"] for c in messages[1]["tool_calls"]] == ["weather", "time"]
    get(first["id"], method="DELETE")
    items = get(second.json["id"] + "/input_items?order=asc").json["data"]
    assert [i["type"] for i in items] == ["message", "function_call", "function_call",
                                          "function_call_output", "function_call_output"]
    a = ask("thinks", input=[ref(first["output"][0])])
    assert is_missing(a) and a.json["error"]["param"] == "input[0].id"
    assert is_missing(ask("thinks", input=[{"type": "item_reference", "id": "msg_1"}]))
    a = ask("thinks", [("authorization", "Bearer sk-other")], input=[ref(second.json["output"][0])])
    assert is_missing(a)


@test("a response belongs to the key that it was made with")
def _():
    alice, bob = [("authorization", "Bearer sk-alice")], [("authorization", "Bearer sk-bob")]
    name = ask("gpt-test", alice).json["id"]
    for other in (bob, ()):
        assert is_missing(get(name, other)) and is_missing(get(name, other, method="DELETE"))
        assert is_missing(get(name + "/input_items", other))
        assert is_missing(ask("gpt-test", other, previous_response_id=name),
                          "previous_response_not_found")
        assert is_missing(get(name, [*other, ("sealgate-caller", "x")]))
    assert get(name, alice).status == 200


@test("a response belongs to its key where the gateway keeps keys for itself")
def _():
    keys = {n: hashlib.sha256(f"sk-{n}".encode()).hexdigest() for n in ("alice", "bob")}
    with Stack(start_gateway=False) as s:
        s.gateway_settings["tokens_file"] = s.write("tokens", "".join(
            f"{d} {n}\n" for n, d in keys.items()))
        s.start_gateway()
        s.wait_ready()
        alice, bob = ([("authorization", f"Bearer sk-{n}")] for n in ("alice", "bob"))
        name = ask("gpt-test", alice, port=s.port).json["id"]
        assert get(name, alice, s.port).status == 200
        assert is_missing(get(name, bob, s.port))
        assert "sealgate-caller" not in s.engine.of("gpt-test")[-1].headers
        assert "authorization" not in s.engine.of("gpt-test")[-1].headers


@test("what is kept goes after its time, and the oldest first when there is no room")
def _():
    with Stack(worker={"responses_life": "5s", "responses_store": "40KiB"}) as s:
        first = ask("gpt-test", port=s.port).json["id"]
        for _i in range(20):
            last = ask("gpt-test", port=s.port).json["id"]
        assert is_missing(get(first, port=s.port)) and get(last, port=s.port).status == 200
        wait_for(lambda: get(last, port=s.port).status == 404)
    with Stack(worker={"responses_store": "0"}) as s:
        r = ask("gpt-test", port=s.port).json
        assert r["store"] is False and is_missing(get(r["id"], port=s.port))
        assert ask("gpt-test", port=s.port, background=True).json["error"]["param"] == "background"


def all_there(s):
    wait_for(lambda: s.metric("sealgate_workers_trusted") == len(s.workers))
    s.wait_all_ready()


@test("follow-ups reach the worker that keeps the response, also after the gateway was started anew")
def _():
    with Stack(workers=3) as s:
        all_there(s)
        names = [ask("gpt-test", port=s.port).json["id"] for _i in range(9)]
        for _again in range(2):
            for name in names:
                assert get(name, port=s.port).status == 200
                assert ask("gpt-test", port=s.port, previous_response_id=name).status == 200
                item = {"type": "item_reference", "id": name.replace("resp_", "msg_") + "000"}
                assert ask("gpt-test", port=s.port, input=[item]).status == 200
            s.gateway.stop()
            s.start_gateway()
            all_there(s)


@test("several engines of one worker keep their responses together")
def _():
    other = Engine()
    try:
        with Stack(start_gateway=False) as s:
            s.workers[0].stop()
            s.worker_settings["engines"] = s.write("engines.yaml", f"""
engines:
  - {{name: one, url: "{s.engine.url}", models: [gpt-test]}}
  - {{name: two, url: "{other.url}", models: [thinks]}}
""")
            s.worker_settings.pop("engine")
            s.workers[0] = s.start_worker(0)
            s.start_gateway()
            s.wait_ready()
            r = ask("thinks", port=s.port, input="one").json
            assert get(r["id"], port=s.port).json == r
            assert ask("gpt-test", port=s.port, input="two", previous_response_id=r["id"]).status == 200
            assert [m["content"] for m in s.engine.of("gpt-test")[-1].json["messages"]] == \
                ["one", "yes", "two"]
            assert get(r["id"], port=s.port, method="DELETE").status == 200
            assert is_missing(get(r["id"], port=s.port))
    finally:
        other.close()


# ---- in the background ----

def background(model, port=None, **more):
    return ask(model, port=port, background=True, **more)


def is_done(name):
    r = get(name).json
    return r if r["status"] not in ("queued", "in_progress") else None


@test("a response in the background is queued at once and polled until it is complete")
def _():
    s = stack()
    a = background("gate-queued")
    assert a.status == 200 and a.json["status"] == "queued" and a.json["background"] is True
    name = a.json["id"]
    wait_for(lambda: get(name).json["status"] == "in_progress")
    assert len(get(name + "/input_items").json["data"]) == 1
    s.engine.release["queued"] = True
    r = wait_for(lambda: is_done(name))
    assert r["status"] == "completed" and text_of(r) == TEXT, r
    assert get(name + "/cancel", method="POST").json == r
    assert ask("gpt-test", previous_response_id=name).status == 200


@test("a response in the background can be called off, and the engine is told")
def _():
    s = stack()
    name = background("gate-called-off").json["id"]
    wait_for(lambda: s.engine.of("gate-called-off"))
    a = get(name + "/cancel", method="POST")
    assert a.json["status"] == "cancelled", a.body
    wait_for(lambda: s.engine.of("gate-called-off")[-1].gone is not None)
    assert wait_for(lambda: is_done(name))["status"] == "cancelled"
    name = background("gate-deleted").json["id"]
    wait_for(lambda: s.engine.of("gate-deleted"))
    assert get(name, method="DELETE").json["deleted"] is True
    wait_for(lambda: s.engine.of("gate-deleted")[-1].gone is not None)
    wait_for(lambda: get(name).status == 404)


@test("a response in the background that the engine refuses or breaks off has failed")
def _():
    for model in ("err-400", "cut-4", "refuses-background", "half-json"):
        r = wait_for(lambda name=background(model).json["id"]: is_done(name))
        assert r["status"] == "failed" and r["error"]["message"], (model, r)


@test("a stream in the background goes on without its reader, and is read again from any event")
def _():
    s = stack()
    with s.conn() as c:
        a = c.ask("POST", "/v1/responses", {"model": "gate-resumed", "input": "x", "stream": True,
                                            "background": True})
        while a.body.count(b"output_text.delta\n") < 2:
            assert c.chunk(a)
    first = json.loads(a.body.split(b"data: ")[1].split(b"\n")[0])
    name = first["response"]["id"]
    assert first["response"]["status"] == "queued"
    with s.conn() as c:
        b = c.ask("GET", f"/v1/responses/{name}?stream=true&starting_after=4")
        while b"output_text.delta\n" not in b.body:
            assert c.chunk(b)
        assert s.engine.of("gate-resumed")[-1].ended is None
        s.engine.release["resumed"] = True
        c.rest(b)
    whole = get(name + "?stream=true")
    events = events_of(whole)
    assert text_of(events[-1]["response"]) == TEXT
    assert whole.body.startswith(a.body[:a.body.index(b"output_text.delta")])

    def said(answer):
        blocks = [x for x in answer.body.decode().split("\n\n") if x and not x.startswith(":")]
        return [json.loads(x.split("data: ")[1])["sequence_number"] for x in blocks[:-1]]
    assert said(b) == list(range(5, len(events))), said(b)
    for n in (0, 3, len(events) - 1, 1000):
        c = get(f"{name}?stream=true&starting_after={n}")
        assert said(c) == list(range(n + 1, len(events))) and c.body.endswith(b"data: [DONE]\n\n")
    assert get(name + "?stream=true&starting_after=x").status == 400
