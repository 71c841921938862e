"""LangChain's OpenAI classes for Python, over chat completions and over responses."""
import uuid

import openai
from cases import BASE, CALL, PROMPT, SCHEMA, TEXT, TOOLS, calls, case, fails, gone, run
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


def with_kind(kind, responses):
    def chat(model, **more):
        return ChatOpenAI(model=model, base_url=BASE + "/v1", api_key="sk-test",
                          use_responses_api=responses, **{"max_retries": 0, **more})

    @case(f"{kind}: an answer")
    def _():
        r = chat("gpt-test").invoke(PROMPT)
        assert r.text == TEXT and r.usage_metadata["total_tokens"] == 17, r

    @case(f"{kind}: a stream")
    def _():
        assert "".join(str(c.text) for c in chat("gpt-test").stream(PROMPT)) == TEXT

    @case(f"{kind}: tools")
    def _():
        r = chat("tools").bind_tools(TOOLS).invoke(PROMPT)
        assert [c["name"] for c in r.tool_calls] == ["weather", "time"]
        assert r.tool_calls[0]["args"] == CALL

    @case(f"{kind}: tools in a stream")
    def _():
        whole = None
        for c in chat("tools").bind_tools(TOOLS).stream(PROMPT):
            whole = c if whole is None else whole + c
        assert [c["name"] for c in whole.tool_calls] == ["weather", "time"]
        assert whole.tool_calls[0]["args"] == CALL

    @case(f"{kind}: structured outputs")
    def _():
        assert chat("json").with_structured_output(SCHEMA, method="json_schema").invoke(PROMPT) == CALL

    @case(f"{kind}: errors")
    def _():
        for status in (400, 401, 403, 404, 422, 429, 500, 503):
            why = fails(lambda s=status: chat(f"err-{s}").invoke(PROMPT), openai.APIStatusError)
            assert why.status_code == status, why

    @case(f"{kind}: a stream that breaks raises")
    def _():
        for name in ("cut-3", "early-4", "error-event"):
            fails(lambda n=name: list(chat(n).stream(PROMPT)))

    @case(f"{kind}: leaving frees the engine")
    def _():
        name = f"endless-langchain-{uuid.uuid4().hex}"
        stream = chat(name).stream(PROMPT)
        for _, _ in zip(range(5), stream):
            pass
        stream.close()
        gone(name)

    @case(f"{kind}: retries are its own, and no more")
    def _():
        before = len(calls("err-500"))
        fails(lambda: chat("err-500", max_retries=1).invoke(PROMPT))
        assert len(calls("err-500")) - before == 2


with_kind("chat", False)
with_kind("responses", True)


@case("embeddings")
def _():
    made = OpenAIEmbeddings(model="e", base_url=BASE + "/v1", api_key="k",
                            check_embedding_ctx_length=False).embed_documents(["x", "y"])
    assert len(made) == 2 and made[1][:3] == [0.25, -1.5, 3.0]


run()
