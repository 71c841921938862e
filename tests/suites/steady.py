"""OpenAI's own mock as the engine: it checks each request against a description, and makes answers."""
import os
import pathlib
import signal
import subprocess
import urllib.request

import engines
import installs
import stack
import suite
from client import wait_for

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = "@stdy/cli"
OPENAI = "openai[aiohttp]"
BRACKETS = [f"--validator-{what}-format=brackets" for what in
            ("query-array", "query-object", "form-array", "form-object")]


class Steady:
    """Has the form that stack.Stack wants of an engine."""
    mistakes = ()

    def __init__(self, python):
        program = installs.npm_packages(PACKAGE) / "node_modules/.bin/steady"
        self.port = stack.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = pathlib.Path(installs.CACHE)
        spec = self.folder / f"openai-{installs.version_of(python, 'openai')}.{os.getpid()}.json"
        subprocess.run([str(python), str(HERE / "openai_spec.py"), str(spec)], check=True,
                       stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen(
            [str(program), "--host", "127.0.0.1", "-p", str(self.port), "-q", "--stream-interval=2",
             *BRACKETS, str(spec)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        wait_for(self.is_up)
        spec.unlink()

    def is_up(self):
        assert self.process.poll() is None, "the mock ended"
        try:
            return urllib.request.urlopen(self.url + "/v1/models", timeout=5).status == 200
        except OSError:
            return False

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(20)


def behind_the_gateway(python):
    """A stack whose engine is the mock."""
    return engines.behind_the_gateway(Steady(python))


def count(done, label):
    """Takes over the lines of a program that says ok, FAIL or SKIPPED, and "end" at its end."""
    out = done.stdout.decode(errors="replace")
    lines = out.splitlines()
    kinds = [line.split(" ", 1)[0] for line in lines]
    passed, failed, skipped = (kinds.count(k) for k in ("ok", "FAIL", "SKIPPED"))
    suite.Totals.passed += passed
    suite.Totals.failed += failed
    suite.Totals.skipped += skipped
    for line in lines:
        if not line.startswith("ok ") and line != "end":
            suite.say(f"   {line}")
    suite.say(f"   {label}: {passed} passed, {failed} failed, {skipped} skipped")
    assert passed and lines[-1] == "end", f"{label} ended with {done.returncode}: {out[-800:]}"
