"""LiteLLM as a client."""
import json
import os
import uuid

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm  # noqa: E402
from cases import BASE, CALL, PROMPT, SCHEMA, TEXT, TOOLS, calls, case, fails, gone, run  # noqa: E402

litellm.suppress_debug_info = True
litellm.drop_params = False
OURS = {"api_base": BASE + "/v1", "api_key": "sk-test"}
USER = [{"role": "user", "content": PROMPT}]


def chat(model, **more):
    return litellm.completion(model=f"openai/{model}", messages=USER,
                              **{**OURS, "max_retries": 0, "num_retries": 0, **more})


@case("an answer")
def _():
    r = chat("gpt-test")
    assert r.choices[0].message.content == TEXT and r.usage.total_tokens == 17


@case("a stream")
def _():
    chunks = list(chat("gpt-test", stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == TEXT


@case("a stream with usage")
def _():
    chunks = list(chat("gpt-test", stream=True, stream_options={"include_usage": True}))
    assert [c.usage.total_tokens for c in chunks if getattr(c, "usage", None)] == [17]


@case("tools")
def _():
    made = chat("tools", tools=TOOLS).choices[0].message.tool_calls
    assert [c.function.name for c in made] == ["weather", "time"]
    assert json.loads(made[0].function.arguments) == CALL


@case("tools in a stream")
def _():
    whole = litellm.stream_chunk_builder(list(chat("tools", tools=TOOLS, stream=True)))
    made = whole.choices[0].message.tool_calls
    assert [c.function.name for c in made] == ["weather", "time"]
    assert json.loads(made[0].function.arguments) == CALL


@case("structured outputs")
def _():
    wanted = {"type": "json_schema",
              "json_schema": {"name": "weather", "strict": True, "schema": SCHEMA}}
    assert json.loads(chat("json", response_format=wanted).choices[0].message.content) == CALL


@case("embeddings")
def _():
    r = litellm.embedding(model="openai/e", input=["x", "y"], encoding_format="float", **OURS)
    assert r.data[1]["embedding"] == [0.25, -1.5, 3.0, 0.1]


@case("responses")
def _():
    r = litellm.responses(model="openai/gpt-test", input=PROMPT, **OURS)
    assert r.output[0].content[0].text == TEXT and r.status == "completed"


@case("responses in a stream")
def _():
    kinds = [str(getattr(e.type, "value", e.type))
             for e in litellm.responses(model="openai/gpt-test", input=PROMPT, stream=True, **OURS)]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds


@case("errors")
def _():
    for status in (400, 401, 403, 404, 422, 429, 500, 503):
        for stream in (False, True):
            why = fails(lambda s=status, t=stream: chat(f"err-{s}", stream=t), Exception)
            assert why.status_code == status, (status, why)


@case("a stream that breaks raises")
def _():
    for name in ("cut-3", "early-4", "error-event"):
        fails(lambda n=name: list(chat(n, stream=True)))


@case("leaving frees the engine")
def _():
    name = f"endless-litellm-{uuid.uuid4().hex}"
    stream = chat(name, stream=True)
    for _, _ in zip(range(5), stream):
        pass
    stream.completion_stream.close()
    gone(name)


@case("retries are its own, and no more")
def _():
    before = len(calls("err-500"))
    fails(lambda: chat("err-500", num_retries=1))
    assert len(calls("err-500")) - before == 2


run()
