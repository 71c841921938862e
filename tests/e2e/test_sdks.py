"""OpenAI's own clients, unmodified

They are installed once, outside of the repository, with pip and npm as they are configured here.
Where those cannot be reached, these tests are skipped, and say so.
"""
import json
import pathlib
import re
import subprocess

import common
import installs
import suite
import test_tool_deltas
from suite import Skip, test

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = ("openai==1.109.1", "openai<3", "openai")
NPM = ("openai@4", "openai@6", "openai@7")


def stack():
    return common.shared("sdks")


def finish():
    common.finish("sdks")
    common.finish("sdks-mending")


def take_over(command, label, seconds=200):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=seconds, check=False)
    out = done.stdout.decode(errors="replace")
    ended = out.rstrip().endswith("end")
    counted = suite.count_lines(re.sub(r"\n?end\n?$", "", out), label)
    assert counted and ended, f"{label} ended with {done.returncode}: {out[-800:]}"
    return "counted"


def try_python(package):
    python = installs.python_with(package)
    s = stack()
    return take_over([str(python), str(HERE / "sdk" / "python.py"), f"http://127.0.0.1:{s.port}",
                      s.engine.url], f"openai {installs.version_of(python, 'openai')} for Python")


def try_node(package):
    folder, program = installs.npm_packages(package), installs.node()
    s = stack()
    version = re.search(r'"version": *"([^"]+)"',
                        (folder / "node_modules/openai/package.json").read_text())[1]
    return take_over([program, str(HERE / "sdk" / "node.mjs"), str(folder),
                      f"http://127.0.0.1:{s.port}", s.engine.url], f"openai {version} for Node")


def try_tools(package):
    """What the client's own helper makes of tool calls that engines write in all kinds of wrong ways."""
    python = installs.python_with(package)
    s = common.shared("sdks-mending", worker={"tool_deltas": "mend"})
    models = test_tool_deltas.teach(s.engine)
    done = subprocess.run([str(python), str(HERE / "sdk" / "tools.py"), f"http://127.0.0.1:{s.port}",
                           *models], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                          timeout=200)
    want = [[name, json.loads(arguments)] for name, arguments in test_tool_deltas.WANT]
    got = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert got == [{"reason": "tool_calls", "ids": 3, "calls": want}] * len(models), got


def or_skip(fn, package):
    try:
        return fn(package)
    except installs.Missing as why:
        raise Skip(str(why)) from why


for _package in PYTHON:
    test(f"the Python SDK {_package}", 600)(lambda package=_package: or_skip(try_python, package))
    test(f"5.3 the Python SDK {_package} puts mended tool calls together", 600)(
        lambda package=_package: or_skip(try_tools, package))
for _package in NPM:
    test(f"the Node SDK {_package}", 600)(lambda package=_package: or_skip(try_node, package))
