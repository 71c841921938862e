"""One client against engine, worker and relay: which cases it passed, and whether its receipts hold."""
import base64
import contextlib
import json
import pathlib
import re
import subprocess
import tempfile

import stack
import suite
from client import http
from meddler import Meddler
from test_relay import relayed

WORKER = {"door_ehbp": True}  # the others are on by themselves

CASES = {
    "keys": "fetches the keys",
    "whole": "an answer that is no stream",
    "stream": "a stream, with its end",
    "order": "tokens come while the engine is still speaking",
    "many": "many requests, several at a time",
    "large": "3 MiB there, 1 MiB back",
    "error": "an engine's error comes as such",
    "flipped": "a flipped bit is found",
    "cut": "a missing end is found",
    "other-key": "what is sealed to another key is refused",
    "receipt": "receipts hold, and not for other bytes",
}


@contextlib.contextmanager
def meddlers(port):
    """What spoils answers, by name."""
    them = {"flipped": Meddler(port, "flip"), "cut": Meddler(port, "cut")}
    try:
        yield {name: m.url for name, m in them.items()}
    finally:
        for m in them.values():
            m.close()


def arguments(s, name, folder, spoiled):
    return json.dumps({"name": name, "folder": folder, "relay": f"http://127.0.0.1:{s.relay_port}",
                       "engine": s.engine.url, **spoiled})


def lines_of(command, seconds):
    """{case: (word, why)} of what a program said; it must have come to its end."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=seconds, check=False)
    out = done.stdout.decode(errors="replace").rstrip()
    found = re.findall(r"^(ok|FAIL|SKIPPED) ([a-z-]+)(?:: (.*))?$", out, re.M)
    if not out.endswith("\nend"):
        found.append(("FAIL", "end", f"ended with {done.returncode}: {out[-1500:]}"))
    return {case: (word, why) for word, case, why in found}


def raw_receipt(text):
    """Out of a trailer, or out of the comment in a stream."""
    found = re.fullmatch(r":([A-Za-z0-9+/=]+):", text)
    return base64.b64decode(found[1]) if found else base64.urlsafe_b64decode(text + "==")


def verify(folder, name, evidence, response):
    body = pathlib.Path(folder, f"{name}.other")
    body.write_bytes(response)
    text = pathlib.Path(folder, f"{name}.receipt").read_text()
    receipt = pathlib.Path(folder, f"{name}.cose")
    receipt.write_bytes(raw_receipt(text))
    return stack.run("sealgate", "verify", str(receipt), "--evidence", evidence, "--policy", "simulated",
                     "--request", str(pathlib.Path(folder, f"{name}.request")), "--response", str(body),
                     *(["--sse"] if name == "stream" else []))


def receipts(port, folder):
    """Of whatever the client kept a receipt of; one of a stream is the least."""
    document = http(port, "GET", "/attestation").json["document"]
    evidence = pathlib.Path(folder, "evidence")
    evidence.write_bytes(http(port, "GET", f"/attestation/{document}").body)
    names = [p.stem for p in pathlib.Path(folder).glob("*.receipt")]
    assert "stream" in names, "no receipt"
    for name in names:
        response = pathlib.Path(folder, f"{name}.response").read_bytes()
        code, text = verify(folder, name, str(evidence), response)
        assert code == 0, f"{name}: {text}"
        code, text = verify(folder, name, str(evidence), response.replace(b"engine", b"Engine", 1))
        assert code == 1 and response.count(b"engine"), f"{name}: holds for other bytes: {text}"


def judged(s, said, folder):
    """What is said of each case; one that nothing was said of has failed."""
    if "receipt" not in said:
        try:
            receipts(s.relay_port, folder)
            said["receipt"] = ("ok", "")
        except (AssertionError, OSError, ValueError) as why:
            said["receipt"] = ("FAIL", str(why))
    return {case: said.get(case, ("FAIL", "it was not tried")) for case in [*CASES, *said]}


def run(name, command, seconds=300):
    """{case: word}; counted, and said."""
    with relayed(gateway=False, worker=WORKER) as s, meddlers(s.relay_port) as spoiled, \
            tempfile.TemporaryDirectory() as folder:
        said = lines_of([*command, arguments(s, name, folder, spoiled)], seconds)
        result = judged(s, said, folder)
    suite.count_lines("\n".join(f"{word} {CASES.get(case, case)}" + (f": {why}" if why else "")
                                for case, (word, why) in result.items()), name)
    return {case: word for case, (word, _why) in result.items()}
