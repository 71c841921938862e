"""openai-python's own generated tests, with OpenAI's validating mock as the engine

The tests come from the package's source distribution, unchanged. The mock answers 400 to a request
that does not fit the description, so what arrives at the engine is judged as well.
"""
import os
import re
import subprocess
import tempfile
import xml.etree.ElementTree as xml

import installs
import steady
import suite

TOOLS = ["pytest", "pytest-asyncio", "pytest-xdist", "rich", "inline-snapshot", "trio", "Pillow"]
# What of the tests is of endpoints that a model server can have.
TESTS = {"chat completions": ["chat"], "completions": ["test_completions.py"],
         "embeddings": ["test_embeddings.py"], "models": ["test_models.py"],
         "responses": ["test_responses.py", "responses"], "moderations": ["test_moderations.py"],
         "images": ["test_images.py"],
         "audio": ["audio/test_speech.py", "audio/test_transcriptions.py",
                   "audio/test_translations.py"]}


def pytest(python, source, tests, base, folder):
    """(passed, failed, skipped, names of what failed) of a run of pytest."""
    out = os.path.join(folder, "junit.xml")
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", f"--junitxml={out}",
         *(f"tests/api_resources/{t}" for t in tests)],
        cwd=source, env={**os.environ, "TEST_API_BASE_URL": base, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        timeout=900)
    assert os.path.exists(out), done.stdout.decode(errors="replace")[-3000:]
    cases = xml.parse(out).getroot().findall(".//testcase")
    failed = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    skipped = sum(c.find("skipped") is not None for c in cases)
    return len(cases) - len(failed) - skipped, failed, skipped


def counted(result, what):
    passed, failed, skipped = result
    suite.Totals.passed += passed
    suite.Totals.failed += len(failed)
    suite.Totals.skipped += skipped
    for case in failed:
        why = case.find("failure") if case.find("failure") is not None else case.find("error")
        suite.say(f"FAIL {what}: {case.get('classname')}.{case.get('name')}: "
                  f"{(why.get('message') or '')[:600]}")
    suite.say(f"   {what}: {passed} passed, {len(failed)} failed, {skipped} skipped")
    assert passed, f"no test of {what} ran"


def run():
    python = installs.python_with(steady.OPENAI, *TOOLS)
    version = installs.version_of(python, "openai")
    source = installs.source_of(f"openai=={version}")
    assert re.search(rf'version = "{re.escape(version)}"', (source / "pyproject.toml").read_text())
    with steady.behind_the_gateway(python) as s, tempfile.TemporaryDirectory() as folder:
        for what, tests in TESTS.items():
            counted(pytest(python, source, tests, f"http://127.0.0.1:{s.port}/v1", folder),
                    f"openai {version} for Python, {what}")
    return "counted"


def parts():
    return [("openai-python's own tests", run)]
