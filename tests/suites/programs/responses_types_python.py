"""Every event and every answer that is bridged, held to the types of OpenAI's package, which does not
check them itself."""
import json
import urllib.request

from cases import BASE, PROMPT, case, run
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

EVENT, ANSWER = TypeAdapter(ResponseStreamEvent), TypeAdapter(Response)
LAST = ("response.completed", "response.incomplete", "response.failed")
FUNCTION = {"type": "function", "name": "weather", "strict": True,
            "parameters": {"type": "object", "properties": {}}}
CUSTOM = {"type": "custom", "name": "patch", "description": "d",
          "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}}
SPACE = {"type": "namespace", "name": "ns", "description": "d",
         "tools": [{"type": "function", "name": "f", "parameters": {}}]}
ASKED = {
    "text": ("gpt-test", {}),
    "text with all that may be said": ("gpt-test", {
        "text": {"format": {"type": "json_object"}, "verbosity": "low"}, "top_logprobs": 2,
        "metadata": {"a": "b"}, "instructions": "x", "safety_identifier": "s", "prompt_cache_key": "k",
        "service_tier": "auto", "truncation": "auto", "max_tool_calls": 3}),
    "structured outputs": ("json", {"text": {"format": {
        "type": "json_schema", "name": "w", "schema": {"type": "object"}}}}),
    "reasoning": ("thinks", {}),
    "reasoning, summed up and encrypted": ("thinks", {
        "reasoning": {"summary": "auto", "effort": "low"}, "include": ["reasoning.encrypted_content"]}),
    "an answer that is cut": ("thinks", {"max_output_tokens": 16}),
    "functions": ("tools", {"tools": [FUNCTION]}),
    "custom tools and namespaces": ("calls-all", {"tools": [FUNCTION, CUSTOM, SPACE],
                                                  "tool_choice": "required", "stream": True}),
    "one tool chosen": ("calls-all", {"tools": [CUSTOM], "stream": True,
                                      "tool_choice": {"type": "custom", "name": "patch"}}),
    "an engine that breaks off": ("cut-4", {"stream": True}),
    "an engine that fails": ("error-event", {"stream": True})}


def answer(model, more):
    body = json.dumps({"model": model, "input": PROMPT, **more}).encode()
    asked = urllib.request.Request(BASE + "/v1/responses", body, {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as r:
        return r.read().decode()


def check_stream(text):
    events = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: {")]
    for event in events:
        EVENT.validate_python(event)
    assert events[-1]["type"] in LAST, events[-1]
    ANSWER.validate_python(events[-1]["response"])


for _name, (_model, _more) in ASKED.items():
    @case(f"{_name}, in a stream")
    def _(model=_model, more=_more):
        check_stream(answer(model, {**more, "stream": True}))

    if "stream" not in _more:
        @case(_name)
        def _(model=_model, more=_more):
            ANSWER.validate_python(json.loads(answer(model, more)))

run()
