"""llm-comply: the Open Responses suite's cases and those for chat completions

llm-comply is another project's port of the Open Responses compliance tests, with the description they
belong to. The engine is the built-in one, and llama.cpp's server for the cases that need no model of
understanding; those of the messages API that are no streams want fields which that server has not.
"""
import json
import subprocess
import tempfile

import engines
import installs
import suite
from stack import Stack

PACKAGE = "llm-comply"
MESSAGES = ["anth-streaming-response", "anth-streaming-usage"]
RESPONSES = ["basic-response", "system-prompt", "multi-turn", "streaming-response", "streaming-usage",
             "assistant-phase", "response-output-phase-schema", "error-handling"]


def comply(s, model, form, *more):
    python = installs.python_with(PACKAGE)
    done = subprocess.run(
        [str(python.parent / "python"), "-c", "import sys; from llm_comply.cli import main; "
         "sys.exit(main())", "-u", f"http://127.0.0.1:{s.port}/v1", "-k", "x", "-m", model, "--format",
         form, "--json", *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, check=False, timeout=300)
    counted(json.loads(done.stdout), f"{PACKAGE} {installs.version_of(python, PACKAGE)}, {form}")
    return "counted"


def counted(found, label):
    results = found["results"]
    kinds = [r["status"] for r in results]
    passed, skipped = kinds.count("passed"), kinds.count("skipped")
    for r in results:
        if r["status"] not in ("passed", "skipped"):
            suite.say(f"FAIL {label}: {r['id']}: {'; '.join(r['errors'])[:600]}")
        elif r["status"] == "skipped":
            suite.say(f"SKIPPED {label}: {r['id']}: {'; '.join(r['errors'])[:200]}")
    suite.Totals.passed += passed
    suite.Totals.skipped += skipped
    suite.Totals.failed += len(kinds) - passed - skipped
    suite.say(f"   {label}: {passed} passed, {len(kinds) - passed - skipped} failed, "
              f"{skipped} skipped")
    assert passed


def with_the_demo_engine(form):
    with Stack(worker={"engine": "demo"}) as s:
        return comply(s, "demo", form)


def with_llama(form, cases, **worker):
    with tempfile.TemporaryDirectory() as folder:
        with engines.behind_the_gateway(engines.llama(folder), worker=worker) as s:
            return comply(s, "tiny", form, "-f", ",".join(cases))


def parts():
    return [("chat completions", lambda: with_the_demo_engine("openai-chat")),
            ("responses", lambda: with_the_demo_engine("open-responses")),
            ("responses over a chat-only engine",
             lambda: with_llama("open-responses", RESPONSES, responses="bridge")),
            ("messages", lambda: with_llama("anthropic", MESSAGES))]
