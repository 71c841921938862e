"""LlamaIndex: OpenAILike over chat completions and completions, OpenAIResponses, embeddings."""
from cases import BASE, CALL, PROMPT, TEXT, case, fails, run
from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai import OpenAIResponses
from llama_index.llms.openai_like import OpenAILike

OURS = {"api_base": BASE + "/v1", "api_key": "sk-test", "max_retries": 0}
USER = [ChatMessage(role="user", content=PROMPT)]
TURN = f'{PROMPT}\ncall weather {{"city":"{CALL["city"]}","days":{CALL["days"]}}}'


def weather(city: str, days: int) -> str:
    """The weather."""
    return f"{city} in {days}"


class Responses(OpenAIResponses):
    """Its table of models does not know ours."""
    @property
    def metadata(self):
        return LLMMetadata(model_name=self.model, is_chat_model=True, is_function_calling_model=True)


def like(model, **more):
    return OpenAILike(model=model, context_window=8000, **{
        "is_chat_model": True, "is_function_calling_model": True, **OURS, **more})


def cases_of(kind, model):
    tool = FunctionTool.from_defaults(weather)

    @case(f"{kind}: an answer")
    def _():
        assert model("gpt-test").chat(USER).message.content == TEXT

    @case(f"{kind}: a stream")
    def _():
        assert "".join(c.delta or "" for c in model("gpt-test").stream_chat(USER)) == TEXT

    @case(f"{kind}: tools")
    def _():
        assert str(model("agent").predict_and_call([tool], user_msg=TURN)) == "Zürich in 3"

    @case(f"{kind}: tools in a stream")
    def _():
        last = list(model("agent").stream_chat_with_tools([tool], user_msg=TURN))[-1]
        made = model("agent").get_tool_calls_from_response(last)
        assert [(c.tool_name, c.tool_kwargs) for c in made] == [("weather", CALL)], made

    @case(f"{kind}: errors")
    def _():
        for status in (400, 401, 429, 500):
            why = fails(lambda s=status: model(f"err-{s}").chat(USER))
            assert getattr(why, "status_code", None) == status, (status, why)

    @case(f"{kind}: a stream that breaks raises")
    def _():
        for name in ("cut-4", "early-4", "error-event"):
            fails(lambda n=name: list(model(n).stream_chat(USER)))


cases_of("chat", like)
cases_of("responses", lambda model: Responses(model=model, **OURS))


@case("completions")
def _():
    assert like("gpt-test", is_chat_model=False).complete(PROMPT).text == TEXT


@case("embeddings")
def _():
    vector = OpenAIEmbedding(model_name="text-embedding-3-small", **OURS).get_text_embedding("x")
    assert [round(x, 3) for x in vector] == [0.25, -1.5, 3.0, 0.1]


run()
