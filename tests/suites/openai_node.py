"""The cases of openai-python's generated tests, asked with the openai npm packages

The npm packages come without their tests. Both packages' tests are made from one description, so the
requests that the Python tests make are recorded, and each is made again with each npm package.
"""
import base64
import email
import json
import os
import re
import subprocess
import tempfile
import urllib.parse

import installs
import steady
import suite
from engine import Engine
from openai_python import TESTS, TOOLS

PACKAGES = ("openai@4", "openai@6", "openai@7")
IDS = re.compile(r"^/v1/(chat/completions|models|responses)/(?!input_tokens|compact)([^/?]+)(.*)$")
FIRST = "test_method_ and loose and not Async"


class Recorder(Engine):
    """Refuses everything, and keeps it."""

    async def answer(self, call):
        self.calls.append(call)
        call.whole(400, {"error": {"message": "noted", "type": "x", "param": None, "code": None}})


def nested(pairs):
    """a[b]=c and a[]=c as the objects and lists that they stand for."""
    out = {}
    for key, value in pairs:
        names = [n.rstrip("]") for n in key.split("[")]
        at = out
        for name, following in zip(names, names[1:]):
            at = at.setdefault(name, [] if following == "" else {})
        if isinstance(at, list):
            at.append(value)
        else:
            at[names[-1]] = value
    return out


def typed(value):
    """Forms carry text; what was a number or a truth value is one again."""
    if isinstance(value, dict):
        return {k: typed(v) for k, v in value.items()}
    if isinstance(value, list):
        return [typed(v) for v in value]
    return json.loads(value) if re.fullmatch(r"-?\d+(\.\d+)?|true|false", value) else value


def parts_of(call):
    """(fields, files) of a multipart body."""
    whole = email.message_from_bytes(b"content-type: " + call.headers["content-type"].encode() +
                                     b"\r\n\r\n" + call.body)
    pairs, files = [], {}
    for part in whole.get_payload():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        if part.get_filename() is not None:
            files.setdefault(name.removesuffix("[]"), []).append(base64.b64encode(data).decode())
        else:
            pairs.append((name, data.decode()))
    return typed(nested(pairs)), files


def case_of(call):
    path, _, query = call.path.partition("?")
    found = IDS.match(path)
    one = {"what": f"{call.method} {path[3:]}", "id": None, "files": {},
           "body": typed(nested(urllib.parse.parse_qsl(query)))}
    if found:
        one["what"] = f"{call.method} /{found[1]}/ID{found[3]}"
        one["id"] = urllib.parse.unquote(found[2])
    if call.headers.get("content-type", "").startswith("multipart/"):
        one["body"], one["files"] = parts_of(call)
    elif call.body:
        one["body"] = call.json
    return one


def recorded(python, source):
    """Each different request of the tests."""
    engine = Recorder()
    try:
        subprocess.run(
            [str(python), "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", FIRST,
             *(f"tests/api_resources/{t}" for tests in TESTS.values() for t in tests)],
            cwd=source, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False, timeout=600,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TEST_API_BASE_URL": engine.url + "/v1", "PYTHONDONTWRITEBYTECODE": "1"})
    finally:
        engine.close()
    different = {json.dumps(c, sort_keys=True): c for c in map(case_of, engine.calls)}
    return [{**c, "number": i} for i, c in enumerate(different.values(), 1)]


def replay(package, s, cases):
    folder = installs.npm_packages(package)
    version = json.loads((folder / "node_modules/openai/package.json").read_text())["version"]
    done = subprocess.run(
        [installs.node(), str(steady.HERE / "programs/replay.mjs"), str(folder), f"http://127.0.0.1:{s.port}",
         s.engine.url, cases], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=600, check=False)
    steady.count(done, f"openai {version} for Node")


def run():
    python = installs.python_with(steady.OPENAI, *TOOLS)
    source = installs.source_of(f"openai=={installs.version_of(python, 'openai')}")
    cases = recorded(python, source)
    assert len(cases) > 40, f"only {len(cases)} requests were made"
    suite.say(f"   {len(cases)} different requests")
    with steady.behind_the_gateway(python) as s, tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "cases.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(cases, f)
        for package in PACKAGES:
            replay(package, s, path)
    return "counted"


def parts():
    return [("the npm packages", run)]
