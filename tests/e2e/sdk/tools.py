"""Tool calls of streams as openai's own client puts them together: BASE MODEL..., a line of JSON for each"""
import json
import sys

from openai import OpenAI

client = OpenAI(base_url=sys.argv[1] + "/v1", api_key="x", max_retries=0)
stream_of = getattr(client.chat.completions, "stream", None) or client.beta.chat.completions.stream
for model in sys.argv[2:]:
    with stream_of(model=model, messages=[{"role": "user", "content": "x"}]) as stream:
        for _ in stream:
            pass
        choice = stream.get_final_completion().choices[0]
    calls = choice.message.tool_calls
    print(json.dumps({"reason": choice.finish_reason, "ids": len({c.id for c in calls}),
                      "calls": [[c.function.name, json.loads(c.function.arguments)] for c in calls]}))
