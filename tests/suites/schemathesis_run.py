"""schemathesis over openapi/openapi.yaml: what is answered is what is described, and nothing is a 5xx

The gateway runs with the built-in engine. Requests are made from the description, valid and not.
"""
import json
import subprocess
import tempfile
import xml.etree.ElementTree as xml

import installs
import steady
import suite
from stack import Stack

PACKAGE = "schemathesis"
CHECKS = ["not_a_server_error", "status_code_conformance", "content_type_conformance",
          "response_headers_conformance", "response_schema_conformance"]
SPEC = steady.HERE.parent.parent / "openapi/openapi.yaml"


def run():
    python = installs.python_with(PACKAGE)
    label = f"{PACKAGE} {installs.version_of(python, PACKAGE)}"
    with Stack(worker={"engine": "demo", "demo_pace": "0s"}) as s, \
            tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [str(python), "-m", "schemathesis.cli", "run", str(SPEC), "--url", f"http://127.0.0.1:{s.port}",
             "--phases", "examples,coverage,fuzzing", "--checks", ",".join(CHECKS), "--seed", "1",
             "--max-examples", "30", "--request-timeout", "20", "--workers", "1", "--report", "junit",
             "--report-junit-path", f"{folder}/junit.xml", "--no-color"], cwd=folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            timeout=900)
        out = done.stdout.decode(errors="replace")
        counted(xml.parse(f"{folder}/junit.xml").getroot(), label, out)
        assert done.returncode == 0, out[-2000:]
    return "counted"


def counted(root, label, out):
    cases = root.findall(".//testcase")
    failed = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    skipped = sum(c.find("skipped") is not None for c in cases)
    passed = len(cases) - len(failed) - skipped
    if failed:
        suite.say(out[-12000:])
    suite.Totals.passed += passed
    suite.Totals.failed += len(failed)
    suite.Totals.skipped += skipped
    suite.say(f"   {label}: {passed} operations passed, {len(failed)} failed, {skipped} skipped")
    assert len(cases) > 10, out[-3000:]


def served():
    """Compared by a reader of YAML that is not ours."""
    python = installs.python_with(PACKAGE)
    as_json = subprocess.run(
        [str(python), "-c", "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))",
         str(SPEC)], stdout=subprocess.PIPE, check=True).stdout
    with Stack(worker={"engine": "demo"}) as s:
        a = s.http("GET", "/openapi.json")
        assert a.status == 200 and a.header("content-type") == "application/json"
        assert a.json == json.loads(as_json)


def parts():
    return [("/openapi.json is the description, as JSON", served), ("schemathesis", run)]
