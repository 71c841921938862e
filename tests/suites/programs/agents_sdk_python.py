"""OpenAI's Agents SDK: tools, handoffs, agents as tools, sessions, streams, over responses and over chat."""
import asyncio

from agents import (Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIConversationsSession,
                    OpenAIResponsesModel, Runner, SQLiteSession, function_tool, set_tracing_disabled)
from cases import BASE, CALL, PROMPT, case, fails, gone, run
from openai import AsyncOpenAI, APIError, APIStatusError, NotFoundError
from pydantic import BaseModel

CITY, DAYS = CALL["city"], CALL["days"]
TURN = f'{PROMPT}\ncall weather {{"city":"{CITY}","days":{DAYS}}} & call clock {{}}'
SAID = f"done: {CITY} in {DAYS} | noon"
LOOP = asyncio.new_event_loop()  # one, since clients keep connections in theirs
set_tracing_disabled(True)


class Weather(BaseModel):
    city: str
    days: int


@function_tool
def weather(city: str, days: int) -> str:
    return f"{city} in {days}"


@function_tool
def clock() -> str:
    return "noon"


def cases_of(kind, model_class):
    def agent(name="agent", **more):
        client = AsyncOpenAI(base_url=BASE + "/v1", api_key="sk-test", max_retries=0)
        return Agent(name="one", model=model_class(model=name, openai_client=client),
                     **{"instructions": "be brief", "tools": [weather, clock], **more})

    def ask(who, text=TURN, **more):
        return LOOP.run_until_complete(Runner.run(who, text, **more))

    def stream(who, text=TURN):
        async def follow():
            result = Runner.run_streamed(who, text)
            kinds = [e.type async for e in result.stream_events()]
            return result, kinds
        return LOOP.run_until_complete(follow())

    @case(f"{kind}: tools, side by side")
    def _():
        r = ask(agent())
        assert r.final_output == SAID and r.context_wrapper.usage.requests == 2, r

    @case(f"{kind}: tools in a stream")
    def _():
        r, kinds = stream(agent())
        assert r.final_output == SAID and "raw_response_event" in kinds, r

    @case(f"{kind}: a handoff")
    def _():
        other = agent(tools=[clock], handoff_description="knows the time").clone(name="two")
        r = ask(agent(handoffs=[other]), PROMPT + "\ncall transfer_to_two {}\ncall clock {}")
        assert r.final_output == "done: noon" and r.last_agent.name == "two", r

    @case(f"{kind}: an agent as a tool")
    def _():
        tool = agent().as_tool("helper", "helps")
        r = ask(agent(tools=[tool]), PROMPT + '\ncall helper {"input":"call clock {}"}')
        assert r.final_output == "done: done: noon", r

    @case(f"{kind}: structured outputs")
    def _():
        assert ask(agent("json", tools=[], output_type=Weather)).final_output == Weather(**CALL)

    @case(f"{kind}: a session")
    def _():
        session = SQLiteSession(kind)
        for _again in range(2):
            assert ask(agent(), session=session).final_output == SAID

    @case(f"{kind}: errors")
    def _():
        for status in (400, 401, 403, 404, 422, 429, 500, 503):
            why = fails(lambda s=status: ask(agent(f"err-{s}")), APIStatusError)
            assert why.status_code == status, (status, why)

    @case(f"{kind}: a stream that breaks raises")
    def _():
        for name in ("cut-4", "early-4", "error-event"):
            fails(lambda n=name: stream(agent(n)), APIError)

    @case(f"{kind}: leaving frees the engine")
    def _():
        name = f"endless-agents-{kind}"

        async def leave():
            result = Runner.run_streamed(agent(name), PROMPT)
            async for event in result.stream_events():
                if event.type == "raw_response_event":
                    break
            result.cancel()
            await asyncio.to_thread(gone, name)
        LOOP.run_until_complete(leave())


cases_of("chat", OpenAIChatCompletionsModel)
cases_of("responses", OpenAIResponsesModel)


def over_responses(name="agent", **more):
    client = AsyncOpenAI(base_url=BASE + "/v1", api_key="sk-test", max_retries=0)
    return Agent(name="one", model=OpenAIResponsesModel(model=name, openai_client=client), **more)


@case("responses: what came before is found by its id")
def _():
    who = over_responses(tools=[weather, clock])
    first = LOOP.run_until_complete(Runner.run(who, TURN))
    second = LOOP.run_until_complete(Runner.run(who, "call clock {}", previous_response_id=first.last_response_id))
    assert second.final_output == "done: noon"


@case("responses: reasoning comes encrypted, and goes back")
def _():
    settings = ModelSettings(reasoning={"effort": "low", "summary": "auto"}, store=False,
                             response_include=["reasoning.encrypted_content"], truncation="auto")
    who = over_responses("thinks", model_settings=settings)
    first = LOOP.run_until_complete(Runner.run(who, PROMPT))
    assert LOOP.run_until_complete(Runner.run(who, first.to_input_list() + [
        {"role": "user", "content": "and?"}])).final_output == "yes"


@case("responses: conversations are a clear 404")
def _():
    client = AsyncOpenAI(base_url=BASE + "/v1", api_key="sk-test", max_retries=0)
    why = fails(lambda: LOOP.run_until_complete(OpenAIConversationsSession(openai_client=client).get_items()),
                NotFoundError)
    assert "/v1/conversations" in str(why), why


run()
