"""A model server's side of an agent: the user's words say what the model does, turn by turn.

    call weather {"city": "Zürich"}                           a turn that calls a tool
    call a {"x": 1} & call b {"y": 2}                         one that calls two, side by side

Turns are counted from the latest user message that has such lines. When all of them were taken, it says
"done: " and what the last calls came to. Of a custom tool the arguments are {"input": TEXT}.
"""
import json
import uuid

from engine import SSE, USAGE, chat_events, chat_object, chunk_of, event, say

OUTPUTS = ("function_call_output", "custom_tool_call_output")
CALLS = ("function_call", "custom_tool_call")


def text_of(content):
    if isinstance(content, list):
        return "\n".join(part.get("text") or "" for part in content)
    return content or ""


def planned(text):
    """Of each turn: [(name, arguments)]."""
    turns = [line[5:].split(" & call ") for line in text.splitlines() if line.startswith("call ")]
    return [[(one.split(" ", 1)[0], json.loads(one.split(" ", 1)[1])) for one in turn] for turn in turns]


def decide(user, called, outputs):
    """What the model does now: (calls, text). Each list holds what came since the user spoke."""
    turns = planned(user)
    if len(called) < len(turns):
        return [(f"call_{uuid.uuid4().hex}", *one) for one in turns[len(called)]], None
    return None, "done: " + " | ".join(outputs)


def since_the_user(entries, is_user, text):
    """(their latest words, what came behind them)"""
    for i in range(len(entries) - 1, -1, -1):
        if is_user(entries[i]) and planned(text(entries[i])):
            return text(entries[i]), entries[i + 1:]
    return "", entries


# ---- as chat completions ----

def decide_chat(body):
    user, behind = since_the_user(body["messages"], lambda m: m["role"] == "user",
                                  lambda m: text_of(m.get("content")))
    called = [m for m in behind if m.get("tool_calls")]
    outputs = [text_of(m.get("content")) for m in behind if m["role"] == "tool"]
    return decide(user, called, outputs[-len(called[-1]["tool_calls"]):] if called else [])


def chat_calls(call, calls):
    """A stream of calls whose arguments come in turns, as some engines write them."""
    pieces = [event(chunk_of(call, {"role": "assistant", "content": None}))]
    texts = [json.dumps(arguments, ensure_ascii=False) for _, _, arguments in calls]
    for i, (name, tool, _) in enumerate(calls):
        pieces.append(event(chunk_of(call, {"tool_calls": [{
            "index": i, "id": name, "type": "function", "function": {"name": tool, "arguments": ""}}]})))
    for at in range(0, max(map(len, texts)), 7):
        pieces += [event(chunk_of(call, {"tool_calls": [{
            "index": i, "function": {"arguments": t[at:at + 7]}}]})) for i, t in enumerate(texts)
            if t[at:at + 7]]
    last = chunk_of(call, {})
    last.update(choices=[], usage=USAGE)
    return pieces + [event(chunk_of(call, {}, "tool_calls")), event(last), b"data: [DONE]\n\n"]


async def chat(call):
    calls, text = decide_chat(call.json)
    if call.streams:
        await say(call, chat_calls(call, calls) if calls else chat_events(call, [text]))
    elif calls:
        call.whole(200, chat_object(call, None, tool_calls=[
            {"id": name, "type": "function", "function": {
                "name": tool, "arguments": json.dumps(arguments)}} for name, tool, arguments in calls]))
    else:
        call.whole(200, chat_object(call, text))


# ---- as responses ----

def decide_responses(body):
    items = body["input"] if isinstance(body["input"], list) else [
        {"role": "user", "content": body["input"]}]
    user, behind = since_the_user(items, lambda i: i.get("role") == "user",
                                  lambda i: text_of(i.get("content")))
    ends = [i for i, item in enumerate(behind) if item.get("type") in CALLS and
            (i + 1 == len(behind) or behind[i + 1].get("type") not in CALLS)]
    outputs = [text_of(i.get("output")) for i in behind[ends[-1]:] if i.get("type") in OUTPUTS] if ends \
        else []
    return decide(user, ends, outputs)


def item_of(body, name, tool, arguments):
    custom = any(t.get("name") == tool and t["type"] == "custom" for t in body.get("tools") or [])
    more = {"input": arguments["input"]} if custom else {"arguments": json.dumps(arguments)}
    return {"type": "custom_tool_call" if custom else "function_call", "id": f"fc_{name}",
            "call_id": name, "name": tool, "status": "completed", **more}


def output_of(body):
    calls, text = decide_responses(body)
    if calls:
        return [item_of(body, *one) for one in calls]
    return [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]}]


def responses_events(body):
    """Short, but in the order that clients expect."""
    output = output_of(body)
    usage = {"input_tokens": 7, "output_tokens": 10,
             "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
             "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 17}
    whole = {"id": "resp_1", "object": "response", "created_at": 1700000000, "model": body["model"],
             "status": "in_progress", "output": [], "usage": None, "error": None,
             "incomplete_details": None, "tools": [], "tool_choice": "auto",
             "parallel_tool_calls": True, "metadata": {}, "instructions": None}
    events = [("response.created", {"response": whole}), ("response.in_progress", {"response": whole})]
    for i, item in enumerate(output):
        empty = {k: [] if k == "content" else "" if k in ("arguments", "input") else v
                 for k, v in item.items()}
        events.append(("response.output_item.added", {"output_index": i, "item": {
            **empty, "status": "in_progress"}}))
        events += inside(item, {"item_id": item["id"], "output_index": i})
        events.append(("response.output_item.done", {"output_index": i, "item": item}))
    return events + [("response.completed", {"response": {
        **whole, "status": "completed", "output": output, "usage": usage}})]


def inside(item, at):
    if item["type"] == "message":
        part, at = item["content"][0], {**at, "content_index": 0}
        return [("response.content_part.added", {**at, "part": {**part, "text": ""}}),
                ("response.output_text.delta", {**at, "delta": part["text"], "logprobs": []}),
                ("response.output_text.done", {**at, "text": part["text"], "logprobs": []}),
                ("response.content_part.done", {**at, "part": part})]
    name, key = ("custom_tool_call_input", "input") if "input" in item else (
        "function_call_arguments", "arguments")
    return [(f"response.{name}.delta", {**at, "delta": item[key]}),
            (f"response.{name}.done", {**at, key: item[key]})]


async def responses(call):
    events = responses_events(call.json)
    if not call.streams:
        call.whole(200, events[-1][1]["response"])
        return
    call.head(200, SSE)
    for i, (name, more) in enumerate(events):
        call.put(f"event: {name}\n".encode() + event({"type": name, "sequence_number": i, **more}))
    call.put(b"data: [DONE]\n\n")
    call.end()


# ---- which of them ----

async def bridged(call):
    """Knows chat completions only."""
    if call.path == "/v1/chat/completions":
        await chat(call)
    else:
        call.whole(404, {"detail": "Not Found"})


async def native(call):
    await (responses(call) if call.path == "/v1/responses" else bridged(call))
