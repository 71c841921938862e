"""What the Python programs here share: NAME.py GATEWAY ENGINE prints ok or FAIL per case, and "end"."""
import json
import sys
import time
import traceback
import urllib.request

BASE, ENGINE = sys.argv[1], sys.argv[2]
TEXT = "".join(["Hello", " from", " the", " engine", ",", " ", "quetzal-answer-canary-5d1f", " ü",
                "🙂", "."])
PROMPT = "marmoset-prompt-canary-77c2"
CALL = {"city": "Zürich", "days": 3}
SCHEMA = {"title": "weather", "description": "w", "type": "object", "additionalProperties": False,
          "required": ["city", "days"],
          "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
NONE = {"type": "object", "properties": {}}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "w", "parameters": SCHEMA}},
         {"type": "function", "function": {"name": "time", "description": "t", "parameters": NONE}}]
CASES = []


def case(name):
    def keep(fn):
        CASES.append((name, fn))
        return fn
    return keep


def calls(name):
    with urllib.request.urlopen(f"{ENGINE}/_calls/{name}", timeout=30) as r:
        return json.load(r)


def gone(name):
    until = time.monotonic() + 5
    while not (calls(name) and all(c["gone"] for c in calls(name))):
        assert time.monotonic() < until, "the engine was not told"
        time.sleep(0.05)


def fails(fn, *kinds):
    try:
        fn()
    except kinds or Exception as why:
        return why
    raise AssertionError("no error")


def run():
    for name, fn in CASES:
        try:
            fn()
        except Exception as why:
            where = traceback.format_exc(limit=-2).replace("\n", " | ")
            print(f"FAIL {name}: {why!r} {where}"[:1500].replace("\n", " "))
        else:
            print(f"ok {name}")
    print("end", flush=True)
