"""What the openai Python package does with the gateway: sdk/python.py GATEWAY ENGINE."""
import json
import sys
import time
import traceback
import urllib.request

import openai

BASE, ENGINE = sys.argv[1], sys.argv[2]
TEXT = "".join(["Hello", " from", " the", " engine", ",", " ", "quetzal-answer-canary-5d1f", " ü",
                "🙂", "."])
client = openai.OpenAI(base_url=BASE + "/v1", api_key="sk-test", max_retries=0, timeout=60)
USER = [{"role": "user", "content": "marmoset-prompt-canary-77c2"}]
CASES = []


def case(fn):
    CASES.append(fn)
    return fn


def get(path, url=None):
    with urllib.request.urlopen((url or BASE) + path, timeout=30) as r:
        return json.load(r)


def create(model, **more):
    return client.chat.completions.create(model=model, messages=USER, **more)


@case
def an_answer_that_is_no_stream():
    r = create("gpt-test")
    assert r.choices[0].message.content == TEXT and r.choices[0].finish_reason == "stop"
    assert r.usage.total_tokens == 17 and r._request_id.startswith("req_")


@case
def a_stream():
    chunks = list(create("gpt-test", stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == TEXT
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({c.id for c in chunks}) == 1


@case
def a_stream_with_usage():
    chunks = list(create("gpt-test", stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.total_tokens == 17 and chunks[-1].choices == []


@case
def streams_that_engines_send_badly():
    for model in ("split", "glued", "crlf", "no-space", "decorated", "multi-line", "two-on-a-line",
                  "no-done"):
        got = "".join(c.choices[0].delta.content or "" for c in create(model, stream=True))
        assert got == TEXT or model == "split", (model, got)


@case
def tools():
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    r = create("tools", tools=[tool])
    calls = r.choices[0].message.tool_calls
    assert [c.function.name for c in calls] == ["weather", "time"]
    assert json.loads(calls[0].function.arguments) == {"city": "Zürich", "days": 3}


@case
def tools_in_a_stream():
    args = {}
    for c in create("tools", stream=True):
        for t in c.choices[0].delta.tool_calls or []:
            args[t.index] = args.get(t.index, "") + (t.function.arguments or "")
    assert json.loads(args[0]) == {"city": "Zürich", "days": 3} and args[1] == "{}"


@case
def structured_outputs():
    import pydantic

    class Trip(pydantic.BaseModel):
        city: str
        days: int
    chat = client.chat.completions if hasattr(client.chat.completions, "parse") else (
        client.beta.chat.completions)
    r = chat.parse(model="json", messages=USER, response_format=Trip)
    assert r.choices[0].message.parsed == Trip(city="Zürich", days=3)


@case
def uploads_and_binary_answers():
    sound = bytes(range(256)) * 400
    r = client.audio.transcriptions.create(model="whisper", file=("ü.wav", sound))
    assert r.text == "what was said" and r.seen["length"] > len(sound)
    said = client.audio.speech.create(model="tts", voice="alloy", input="x")
    assert said.content == bytes(range(256)) * 1200


@case
def the_stream_helper():
    helper = getattr(client.chat.completions, "stream", None) or client.beta.chat.completions.stream
    with helper(model="gpt-test", messages=USER) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.content == TEXT


@case
def embeddings_by_default_and_as_numbers():
    assert client.embeddings.create(model="e", input="x").data[0].embedding[:3] == [0.25, -1.5, 3.0]
    r = client.embeddings.create(model="e", input=["x", "y"], encoding_format="float")
    assert r.data[1].embedding == [0.25, -1.5, 3.0, 0.1]


@case
def models():
    assert [m.id for m in client.models.list()] == ["gpt-test", "org/model-with-slash", "org/deep/er"]
    assert client.models.retrieve("org/model-with-slash").id == "org/model-with-slash"


@case
def legacy_completions():
    assert client.completions.create(model="gpt-test", prompt="x").choices[0].text == TEXT
    got = client.completions.create(model="gpt-test", prompt="x", stream=True)
    assert "".join(c.choices[0].text for c in got) == TEXT


@case
def error_classes():
    for status, kind in ((400, openai.BadRequestError), (401, openai.AuthenticationError),
                         (403, openai.PermissionDeniedError), (404, openai.NotFoundError),
                         (422, openai.UnprocessableEntityError), (429, openai.RateLimitError),
                         (500, openai.InternalServerError), (503, openai.InternalServerError)):
        for stream in (False, True):
            try:
                create(f"err-{status}", stream=stream)
            except kind as e:
                assert e.status_code == status and e.request_id.startswith("req_"), e
                assert f"the engine says {status}" in e.message and e.code, e
            else:
                raise AssertionError(status)


@case
def errors_of_the_gateway_itself():
    try:
        client.chat.completions.create(model="gpt-test", messages=USER,
                                       extra_headers={"content-encoding": "gzip"})
    except openai.APIStatusError as e:
        assert e.status_code == 415 and e.request_id and e.type == "invalid_request_error"
    else:
        raise AssertionError("no error")
    try:
        client.post("/nothing/here", body={"model": "x"}, cast_to=object)
    except openai.NotFoundError as e:
        assert e.code == "unknown_url"


@case
def an_answer_of_html_is_an_error():
    try:
        create("html-502")
    except openai.InternalServerError as e:
        assert e.status_code == 502 and "html" not in e.message.lower()
    else:
        raise AssertionError("no error")


@case
def a_stream_that_breaks_raises():
    for model in ("cut-3", "cut-3-20", "early-4", "garbage-3", "error-event"):
        got = []
        try:
            for c in create(model, stream=True):
                got.append(c)
        except openai.APIError:
            assert len(got) >= 3, model
        else:
            raise AssertionError(f"{model} looked finished")


# ---- the Responses API ----

def respond(model, **more):
    return client.responses.create(model=model, input=USER[0]["content"], **more)


@case
def a_response():
    r = respond("gpt-test")
    assert r.output_text == TEXT and r.status == "completed" and r.usage.total_tokens == 17
    assert r.output[0].content[0].type == "output_text" and r._request_id.startswith("req_")


@case
def a_response_as_a_stream():
    events = list(respond("gpt-test", stream=True))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == TEXT
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    assert [e.sequence_number for e in events] == list(range(len(events)))


@case
def the_stream_helper_of_responses():
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
    for model, more in (("gpt-test", {}), ("thinks", {}), ("tools", {"tools": [tool]})):
        with client.responses.stream(model=model, input="x", **more) as stream:
            kinds = [e.type for e in stream]
            r = stream.get_final_response()
        assert kinds[-1] == "response.completed" and r.status == "completed", (model, kinds)
    assert r.output[0].name == "weather"
    assert json.loads(r.output[0].arguments) == {"city": "Zürich", "days": 3}


@case
def a_response_with_reasoning():
    r = respond("thinks", reasoning={"effort": "low"}, include=["reasoning.encrypted_content"])
    assert [i.type for i in r.output] == ["reasoning", "message"] and r.output_text == "yes"
    r = respond("thinks", max_output_tokens=20)
    assert r.status == "incomplete" and r.incomplete_details.reason == "max_output_tokens"


@case
def a_parsed_response():
    import pydantic

    class Person(pydantic.BaseModel):
        name: str
        age: int
    r = client.responses.parse(model="json-person", input="x", text_format=Person)
    assert r.output_parsed == Person(name="Zoë", age=3)


@case
def responses_that_are_kept():
    first = respond("gpt-test")
    again = client.responses.retrieve(first.id)
    assert again.output_text == TEXT and again.id == first.id
    items = list(client.responses.input_items.list(first.id))
    assert items[0].content[0].text == USER[0]["content"]
    second = respond("gpt-test", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    client.responses.delete(first.id)
    for ask in (lambda: client.responses.retrieve(first.id),
                lambda: respond("gpt-test", previous_response_id=first.id)):
        try:
            ask()
        except openai.NotFoundError as e:
            assert e.code in ("not_found", "previous_response_not_found")
        else:
            raise AssertionError("an empty context")


@case
def responses_in_the_background():
    r = respond("gpt-test", background=True)
    assert r.status == "queued"
    until = time.monotonic() + 20
    while r.status in ("queued", "in_progress"):
        assert time.monotonic() < until
        time.sleep(0.05)
        r = client.responses.retrieve(r.id)
    assert r.output_text == TEXT
    r = client.responses.cancel(respond("silent-background", background=True).id)
    assert r.status == "cancelled"
    events = list(respond("gpt-test", background=True, stream=True))
    name = events[0].response.id
    rest = list(client.responses.retrieve(name, stream=True, starting_after=5))
    assert [e.sequence_number for e in rest] == list(range(6, len(events)))


@case
def responses_that_break_raise():
    for model in ("cut-3", "error-event"):
        try:
            got = list(respond(model, stream=True))
        except openai.APIError as e:
            assert e.message
        else:
            raise AssertionError(f"{model} looked finished: {got[-1]}")
    try:
        respond("gpt-test", conversation="conv_1")
    except openai.BadRequestError as e:
        assert e.param == "conversation"


@case
def retries_are_not_multiplied():
    def asked():
        return len(get("/_calls/err-500", ENGINE))
    before = asked()
    try:
        client.with_options(max_retries=2).chat.completions.create(model="err-500", messages=USER)
    except openai.InternalServerError:
        pass
    assert asked() - before == 3  # the package asks three times; nobody in between multiplies that


@case
def leaving_a_stream_frees_the_engine():
    name = f"endless-python-{openai.__version__}"
    stream = create(name, stream=True)
    for i, _ in enumerate(stream):
        if i == 4:
            break
    stream.close()
    left = time.monotonic()
    while not get(f"/_calls/{name}", ENGINE)[0]["gone"]:
        assert time.monotonic() - left < 3
        time.sleep(0.05)


@case
def a_timeout_frees_the_engine():
    name = f"silent-python-{openai.__version__}"
    try:
        create(name, timeout=1)
    except openai.APITimeoutError:
        pass
    left = time.monotonic()
    while not get(f"/_calls/{name}", ENGINE)[0]["gone"]:
        assert time.monotonic() - left < 3
        time.sleep(0.05)


@case
def the_receipt_by_every_id():
    raw = client.chat.completions.with_raw_response.create(model="gpt-test", messages=USER)
    rid = raw.headers["x-receipt-id"]
    answer = raw.parse()
    seen = [get(f"/v1/receipts/{i}") for i in (rid, answer.id, raw.headers["x-request-id"])]
    assert all(s == seen[0] for s in seen) and seen[0]["id"] == rid
    fetched = client.get(f"/receipts/{rid}", cast_to=object)
    assert fetched["id"] == rid


@case
def the_receipt_of_a_stream():
    with client.chat.completions.with_streaming_response.create(
            model="gpt-test", messages=USER, stream=True) as raw:
        rid = raw.headers["x-receipt-id"]
        chunks = list(raw.parse())
    assert get(f"/v1/receipts/{chunks[0].id}")["id"] == rid


@case
def unknown_fields_reach_the_engine():
    r = create("echo", extra_body={"top_k": 40, "chat_template_kwargs": {"x": True}})
    sent = json.loads(json.loads(r.choices[0].message.content)["body"])
    assert sent["top_k"] == 40 and sent["chat_template_kwargs"] == {"x": True}


@case
def the_async_client():
    import asyncio

    async def run():
        async with openai.AsyncOpenAI(base_url=BASE + "/v1", api_key="k", max_retries=0) as c:
            async def one():
                out = ""
                async for x in await c.chat.completions.create(model="gpt-test", messages=USER,
                                                               stream=True):
                    out += x.choices[0].delta.content or ""
                return out
            assert await asyncio.gather(*(one() for _ in range(20))) == [TEXT] * 20
    asyncio.run(run())


for fn in CASES:
    name = fn.__name__.replace("_", " ")
    try:
        fn()
    except Exception as why:
        print(f"FAIL {name}: {why!r}"[:1500])
        traceback.print_exc(limit=-3, file=sys.stdout)
    else:
        print(f"ok {name}")
print("end")
