"""Instructor, in each of its modes."""
import instructor
import openai
from cases import BASE, CALL, PROMPT, case, fails, run
from pydantic import BaseModel


class Weather(BaseModel):
    city: str
    days: int


CLIENT = openai.OpenAI(base_url=BASE + "/v1", api_key="sk-test", max_retries=0)
BY_TOOL = f'{PROMPT}\ncall Weather {{"city":"{CALL["city"]}","days":{CALL["days"]}}}'


def settings(mode):
    model, text = ("json", PROMPT) if "JSON" in mode else ("agent", BY_TOOL)
    return {"model": model, "response_model": Weather, "max_retries": 1,
            "messages": [{"role": "user", "content": text}]}


def cases_of(mode):
    client = instructor.from_openai(CLIENT, mode=getattr(instructor.Mode, mode))

    @case(f"{mode}: an object")
    def _():
        assert client.chat.completions.create(**settings(mode)).model_dump() == CALL

    @case(f"{mode}: an object in a stream")
    def _():
        last = list(client.chat.completions.create_partial(**settings(mode)))[-1]
        assert (last.city, last.days) == (CALL["city"], CALL["days"])


for _mode in ("TOOLS", "TOOLS_STRICT", "JSON", "JSON_SCHEMA", "MD_JSON", "RESPONSES_TOOLS"):
    cases_of(_mode)


@case("errors are shown")
def _():
    client = instructor.from_openai(CLIENT)
    why = fails(lambda: client.chat.completions.create(**{**settings("TOOLS"), "model": "err-429"}))
    assert "the engine says 429" in str(why), why


run()
