"""Clients that people use: AI SDK, LangChain, LiteLLM, the Agents SDK for JavaScript, the messages SDK

Unmodified, against the model server of the end-to-end tests; /v1/responses is made out of chat
completions there. OpenAI's own packages are tried by tests/e2e/test_sdks.py.
"""
import json
import shutil
import subprocess

import engine_agent
import installs
import steady
from stack import Stack

PROGRAMS = steady.HERE / "programs"
AI = {"AI SDK 6": ("ai@6", "@ai-sdk/openai@3", "@ai-sdk/openai-compatible@2", "zod@4"),
      "AI SDK 7": ("ai@7", "@ai-sdk/openai@4", "@ai-sdk/openai-compatible@3", "zod@4")}
LANGCHAIN = ("@langchain/openai", "@langchain/core", "zod@4")
AGENTS = ("@openai/agents", "openai", "zod@4")
MESSAGES = ("@anthropic-ai/sdk",)


def counted(command, label):
    with Stack() as s:
        s.engine.scripts["agent"] = engine_agent.bridged
        done = subprocess.run([*command, f"http://127.0.0.1:{s.port}", s.engine.url],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=300, check=False)
        steady.count(done, label)
    return "counted"


def in_node(packages, program, named, label):
    """Programs are copied beside node_modules, where their imports are found."""
    folder = installs.npm_packages(*packages)
    for name in ("cases.mjs", program):
        shutil.copy2(PROGRAMS / name, folder / name)
    version = json.loads((folder / "node_modules" / named / "package.json").read_text())["version"]
    return counted([installs.node(), str(folder / program)], f"{label} ({named} {version})")


def in_python(package, program, label, *more):
    python = installs.python_with(package, *more)
    return counted([str(python), "-B", str(PROGRAMS / program)],
                   f"{label} ({package} {installs.version_of(python, package)})")


def parts():
    out = [(label, lambda p=packages, n=label: in_node(p, "ai_sdk.mjs", "ai", n))
           for label, packages in AI.items()]
    return out + [
        ("Agents SDK for JavaScript", lambda: in_node(AGENTS, "agents_sdk.mjs", AGENTS[0], "Agents SDK")),
        ("SDK of the messages API", lambda: in_node(MESSAGES, "messages.mjs", MESSAGES[0],
                                                    "messages SDK")),
        ("LangChain for JavaScript", lambda: in_node(LANGCHAIN, "langchain.mjs", "@langchain/openai",
                                                     "LangChain")),
        ("LangChain for Python", lambda: in_python("langchain-openai", "langchain_python.py",
                                                   "LangChain")),
        ("LiteLLM", lambda: in_python("litellm", "litellm_python.py", "LiteLLM", "mcp"))]
