"""Agents and frameworks, unmodified: too heavy for every run, so only by name

codex, aider, opencode and llm are run as people run them, in a folder of their own: the model is
engine_agent, whose turns are said in the prompt, so a file that is there in the end was made by the tools
of the program. The others are libraries, like those of the suite "clients", whose cases they share.
"""
import contextlib
import json
import os
import pathlib
import subprocess
import tempfile

import clients
import engine_agent
import installs
from client import PROMPT_CANARY
from engine import chat_events, error, say
from stack import Stack

CODEX = "@openai/codex@0.169.0"
TEXT = "grüß dich 🙂"
PATCH = f"*** Begin Patch\n*** Add File: hello.txt\n+{TEXT}\n*** End Patch\n"
LIBRARIES = {"Agents SDK for Python": ("openai-agents", "agents_sdk_python.py"),
             "Pydantic AI": ("pydantic-ai-slim[openai]", "pydantic_ai_python.py"),
             "the types of OpenAI's package": ("openai", "responses_types_python.py"),
             "Instructor": ("instructor", "instructor_python.py"),
             "LlamaIndex": ("llama-index-llms-openai", "llama_index_python.py",
                            "llama-index-llms-openai-like", "llama-index-embeddings-openai")}


def turn(*calls):
    return "call " + " & call ".join(f"{name} {json.dumps(arguments)}" for name, arguments in calls)


async def once_limited(call):
    """429 with Retry-After the first time."""
    if len(call.protocol.engine.of(call.model)) < 2:
        error(call, 429, "slow down", "rate_limit_exceeded", [("retry-after", "1")])
    else:
        await engine_agent.bridged(call)


async def once_cut(call):
    """Breaks off the first time, with a call that is whole."""
    n = sum(c.path == "/v1/chat/completions" for c in call.protocol.engine.of(call.model))
    if call.path != "/v1/chat/completions" or n > 1:
        await engine_agent.bridged(call)
        return
    calls = [("call_cut", "exec_command", {"cmd": "touch cut.txt"})]
    call.head(200, [("content-type", "text/event-stream")])
    for piece in engine_agent.chat_calls(call, calls)[:-3]:
        call.put(piece)
    call.cut()


async def writes_a_file(call):
    """As aider wants it said."""
    text = f"hello.txt\n```\n{TEXT}\n```\n"
    await say(call, chat_events(call, [text])) if call.streams else await engine_agent.chat(call)


class Place:
    """A stack, and a folder where a program may write."""

    def __init__(self, folder, s):
        self.stack, self.base = s, f"http://127.0.0.1:{s.port}/v1"
        self.home, self.work = pathlib.Path(folder, "home"), pathlib.Path(folder, "work")
        self.home.mkdir()
        self.work.mkdir()

    def write(self, name, text):
        (self.home / name).write_text(text)
        return str(self.home / name)

    def run(self, command, text="", **env):
        """(status, what it wrote); the prompt is its standard input."""
        done = subprocess.run([str(c) for c in command], cwd=self.work, input=text.encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False,
                              env={**os.environ, "HOME": str(self.home), "PWD": str(self.work),
                                   "OPENAI_API_KEY": "sk-test", **env})
        return done.returncode, done.stdout.decode(errors="replace")

    def made(self):
        return (self.work / "hello.txt").read_text().strip()


@contextlib.contextmanager
def place(**scripts):
    with Stack() as s, tempfile.TemporaryDirectory(prefix="sealgate-suites-") as folder:
        s.engine.scripts.update({"agent": engine_agent.bridged, **scripts})
        yield Place(folder, s)


# ---- codex ----

def codex(p, text, model="agent"):
    """(status, its events)"""
    folder = installs.npm_packages(CODEX)
    p.write("config.toml", f'''model = "{model}"
model_provider = "sealgate"
[model_providers.sealgate]
name = "Sealgate"
base_url = "{p.base}"
wire_api = "responses"
env_key = "OPENAI_API_KEY"
request_max_retries = 2
stream_max_retries = 2
''')
    status, out = p.run([installs.node(), folder / "node_modules/@openai/codex/bin/codex.js", "exec",
                         "--json", "--skip-git-repo-check", "-s", "danger-full-access", "-"],
                        f"{PROMPT_CANARY}\n{text}", CODEX_HOME=str(p.home))
    events = [json.loads(line) for line in out.splitlines() if line.startswith('{"type"')]
    return status, events


def is_complete(outcome):
    status, events = outcome
    assert status == 0 and events[-1]["type"] == "turn.completed", (status, events[-2:])
    return [e["item"] for e in events if e["type"] == "item.completed"]


def codex_works(way):
    text = "\n".join((turn(("exec_command", {"cmd": "echo one"}), ("exec_command", {"cmd": "echo two"})),
                      turn(("exec_command", {"cmd": f"apply_patch <<'EOF'\n{PATCH}EOF"})),
                      turn(("exec_command", {"cmd": "cat hello.txt"}))))
    with place(agent=way) as p:
        items = is_complete(codex(p, text))
        kinds = sorted(i["type"] for i in items if i["type"] != "error")
        assert kinds == ["agent_message", *["command_execution"] * 3, "file_change"], items
        assert p.made() == TEXT and TEXT in items[-1]["text"], items[-1]


def codex_brings_its_tools():
    script = f"const r = await tools.exec_command({{cmd: \"echo '{TEXT}' > hello.txt\"}}); text(r);"
    with place(**{"gpt-6-astra": engine_agent.bridged}) as p:
        is_complete(codex(p, turn(("functions__exec", {"input": script})), "gpt-6-astra"))
        assert p.made() == TEXT


def codex_asks_again():
    for model, way in (("limited", once_limited), ("cut", once_cut)):
        with place(**{model: way}) as p:
            is_complete(codex(p, turn(("exec_command", {"cmd": f"echo '{TEXT}' >> hello.txt"})), model))
            assert p.made() == TEXT and not (p.work / "cut.txt").exists()


def codex_shows_errors():
    with place() as p:
        for model, word in (("err-401", "the engine says 401"), ("err-400", "context window"),
                            ("none", "'none' does not exist"), ("cut-4", "broke off")):
            status, events = codex(p, "hello", model)
            assert status != 0 and events[-1]["type"] == "turn.failed", (model, events[-2:])
            assert word in events[-1]["error"]["message"], (model, events[-1])


# ---- aider, opencode, llm ----

def aider_works():
    python = installs.python_with("aider-chat")
    with place(writer=writes_a_file) as p:
        for command in (["init", "-q"], ["config", "user.email", "a@b"], ["config", "user.name", "a"]):
            subprocess.run(["git", *command], cwd=p.work, check=True)
        flags = ["--yes-always", "--no-check-update", "--no-show-model-warnings", "--no-analytics",
                 "--no-detect-urls", "--message", f"{PROMPT_CANARY}: make hello.txt"]
        status, out = p.run([python, "-m", "aider", "--model", "openai/writer", *flags],
                            OPENAI_API_BASE=p.base)
        assert status == 0 and "Applied edit to hello.txt" in out, out[-800:]
        assert p.made() == TEXT
        _status, out = p.run([python, "-m", "aider", "--model", "openai/err-400", *flags],
                             OPENAI_API_BASE=p.base)
        assert "the engine says 400" in out, out[-800:]


def opencode_works(provider):
    folder = installs.npm_packages("opencode-ai")
    with place() as p:
        config = {"provider": {"ours": {"npm": provider, "options": {"baseURL": p.base, "apiKey": "sk"},
                                        "models": {"agent": {}, "err-401": {}}}},
                  "permission": "allow", "autoupdate": False, "share": "disabled"}
        env = {"OPENCODE_CONFIG": p.write("opencode.json", json.dumps(config)),
               "OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_LSP_DOWNLOAD": "1"}
        command = [folder / "node_modules/opencode-linux-x64/bin/opencode", "run", "--model"]
        text = turn(("bash", {"command": f"echo '{TEXT}' > hello.txt", "description": "d"}),
                    ("bash", {"command": "echo two", "description": "d"}))
        status, out = p.run([*command, "ours/agent"], f"{PROMPT_CANARY}\n{text}", **env)
        assert status == 0 and "done: " in out, out[-800:]
        assert p.made() == TEXT
        status, out = p.run([*command, "ours/err-401"], "hello", **env)
        assert status != 0 and "the engine says 401" in out, out[-800:]


def llm_works():
    python = installs.python_with("llm")
    with place() as p:
        models = ("gpt-test", "agent", "json", "err-429", "cut-4")
        p.write("extra-openai-models.yaml", "".join(
            f"- {{model_id: {m}, model_name: {m}, api_base: \"{p.base}\", supports_tools: true, "
            "supports_schema: true}\n" for m in models))

        text = f"{PROMPT_CANARY}\n{turn(('weather', {'city': 'Zürich', 'days': 3}))}"

        def ask(model, *more):
            return p.run([python, "-m", "llm", "-m", model, text, *more],
                         LLM_USER_PATH=str(p.home))
        tool = "def weather(city: str, days: int) -> str:\n    return f'{city} in {days}'\n"
        for model, more, word in (
                ("gpt-test", [], "🙂."), ("gpt-test", ["--no-stream"], "🙂."),
                ("json", ["--schema", "city, days int"], '"days":3'),
                ("agent", ["--functions", tool], "done: Zürich in 3")):
            status, out = ask(model, *more)
            assert status == 0 and word in out, (model, out[-800:])
        for model, word in (("err-429", "the engine says 429"), ("cut-4", "broke off")):
            status, out = ask(model)
            assert status != 0 and word in out, (model, out[-800:])


def library(label):
    package, program, *more = LIBRARIES[label]
    python = installs.python_with(package, *more)
    name = package.split("[")[0]
    return clients.counted([str(python), "-B", str(clients.PROGRAMS / program)],
                           f"{label} ({name} {installs.version_of(python, name)})")


def parts():
    out = [(label, lambda n=label: library(n)) for label in LIBRARIES]
    return out + [
        ("codex works with its tools, responses bridged", lambda: codex_works(engine_agent.bridged)),
        ("codex works with its tools, responses native", lambda: codex_works(engine_agent.native)),
        ("codex calls tools that it brings in its input", codex_brings_its_tools),
        ("codex asks again after a 429 and after half a call, which it does not run", codex_asks_again),
        ("codex shows what is wrong", codex_shows_errors),
        ("aider makes a file, and shows what is wrong", aider_works),
        ("opencode works with its tools", lambda: opencode_works("@ai-sdk/openai-compatible")),
        ("opencode works with its tools, over responses", lambda: opencode_works("@ai-sdk/openai")),
        ("llm: streams, tools, schemas, errors", llm_works)]
