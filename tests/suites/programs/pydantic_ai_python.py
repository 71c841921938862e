"""Pydantic AI, over chat completions and over responses."""
import asyncio

from cases import BASE, CALL, PROMPT, case, fails, run
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

CITY, DAYS = CALL["city"], CALL["days"]
TURN = f'{PROMPT}\ncall weather {{"city":"{CITY}","days":{DAYS}}} & call clock {{}}'
SAID = f"done: {CITY} in {DAYS} | noon"
LOOP = asyncio.new_event_loop()


class Weather(BaseModel):
    city: str
    days: int


def cases_of(kind, model_class):
    def agent(name="agent", **more):
        model = model_class(name, provider=OpenAIProvider(base_url=BASE + "/v1", api_key="sk-test"))
        made = Agent(model, instructions="be brief", **more)
        if name == "agent":
            made.tool_plain(lambda city, days: f"{city} in {days}", name="weather")
            made.tool_plain(lambda: "noon", name="clock")
        return made

    def ask(made, text=TURN, **more):
        return LOOP.run_until_complete(made.run(text, **more))

    def stream(made):
        async def follow():
            async with made.run_stream(TURN) as r:
                return [piece async for piece in r.stream_text(delta=True)]
        return "".join(LOOP.run_until_complete(follow()))

    @case(f"{kind}: tools, side by side")
    def _():
        assert ask(agent()).output == SAID

    @case(f"{kind}: tools in a stream")
    def _():
        assert stream(agent()) == SAID

    @case(f"{kind}: structured outputs, by schema and by a tool")
    def _():
        assert ask(agent("json", output_type=NativeOutput(Weather))).output == Weather(**CALL)
        assert ask(agent(output_type=Weather), PROMPT + '\ncall final_result {"city":"a","days":1}'
                   ).output == Weather(city="a", days=1)

    @case(f"{kind}: a conversation")
    def _():
        first = ask(agent())
        assert ask(agent(), "call clock {}", message_history=first.all_messages()).output == "done: noon"

    @case(f"{kind}: reasoning")
    def _():
        assert ask(agent("thinks")).output == "yes"

    @case(f"{kind}: errors")
    def _():
        for status in (400, 401, 403, 404, 422, 429, 500, 503):
            why = fails(lambda s=status: ask(agent(f"err-{s}")), ModelHTTPError)
            assert why.status_code == status, (status, why)

    @case(f"{kind}: a stream that breaks raises")
    def _():
        for name in ("cut-4", "early-4", "error-event"):
            fails(lambda n=name: stream(agent(n)))


cases_of("chat", OpenAIChatModel)
cases_of("responses", OpenAIResponsesModel)
run()
