"""Evidence by itself: POST /v1/attestation/verify, `sealgate verify evidence`, `sealgate detect`"""
import base64
import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import tempfile

import common
import stack as programs
from client import chat
from stack import Stack
from suite import Skip, test

PATH = "/v1/attestation/verify"
HERE = pathlib.Path(__file__).resolve().parent


def stack():
    return common.shared("evidence")


def finish():
    common.finish("evidence")


def vectors(platform, case):
    """A genuine case of the shared vectors: evidence, collateral, time and what it says."""
    default = HERE.parent.parent.parent / "shared" / "vectors"
    folder = pathlib.Path(os.environ.get("SEALGATE_VECTORS", default)) / "attest" / platform
    if not (folder / "cases.json").exists():
        raise Skip("no vectors, so there is no genuine evidence")
    for c in json.loads((folder / "cases.json").read_text())["cases"]:
        if c["id"] == case:
            names = list((c.get("collateral") or {}).values()) + c.get("chain", [])
            names += [c[k] for k in ("leaf", "crl") if c.get(k)]
            main = next(c[k] for k in ("quote", "report", "doc") if k in c)
            return folder / main, [folder / n for n in names], c["verify_time"], c["fields"]
    raise AssertionError(f"no case {case}")


GENUINE = {"tdx": ("tdx", "v4-b0c06f-uptodate"), "sev-snp": ("sev-snp", "turin-v5"),
           "nitro": ("nitro", "prod-2023-01-tls-spki")}


def b64(data):
    return base64.b64encode(data).decode()


def ask(body, **more):
    s = stack()
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return s.http("POST", PATH, raw, [("content-type", "application/json")], **more)


def findings(body):
    a = ask(body)
    assert a.status == 200, (a.status, a.body)
    assert a.json["object"] == "attestation.findings"
    return a.json


def user_data(fields):
    return bytes.fromhex(fields.get("report_data") or fields["user_data"])


@test("the gateway verifies genuine evidence of each platform")
def _():
    for platform, (folder, case) in GENUINE.items():
        evidence, collateral, at, fields = vectors(folder, case)
        body = {"evidence": b64(evidence.read_bytes()), "at": at,
                "collateral": [b64(p.read_bytes()) for p in collateral]}
        f = findings(body)
        assert f["outcome"] == "verified" and f["platform"] == platform, f
        assert f["answers"]["certificate_chain"]["status"] == "pass", f
        assert f["answers"]["user_data"]["status"] == "skip", f
        data = user_data(fields)
        assert findings({**body, "user_data": b64(data)})["answers"]["user_data"]["status"] == "pass"
        wrong = findings({**body, "user_data": b64(data[:-1])})
        assert wrong["outcome"] == "refused", wrong
        assert wrong["answers"]["user_data"]["status"] == "fail", wrong
        assert wrong["answers"]["platform"]["status"] == "pass", wrong


@test("a flipped bit in genuine evidence is not verified by the gateway")
def _():
    for folder, case in GENUINE.values():
        evidence, collateral, at, _fields = vectors(folder, case)
        good = evidence.read_bytes()
        for place in range(0, 640, 97):
            bad = bytearray(good)
            bad[place] ^= 1
            f = findings({"evidence": b64(bad), "at": at,
                          "collateral": [b64(p.read_bytes()) for p in collateral]})
            assert f["outcome"] != "verified", (case, place)


@test("what the gateway cannot decide it does not call verified")
def _():
    for folder, case in (GENUINE["tdx"], GENUINE["sev-snp"]):
        evidence, _collateral, at, _fields = vectors(folder, case)
        f = findings({"evidence": b64(evidence.read_bytes()), "at": at})
        assert f["outcome"] == "not_decided", f
    assert findings({"evidence": b64(b"no evidence at all")})["outcome"] == "not_decided"


@test("a simulated worker's document is not verified by the gateway's page")
def _():
    s = stack()
    a = chat(s.port, "gpt-test")
    r = s.http("GET", f"/v1/receipts/{a.header('x-receipt-id')}").json
    f = findings({"evidence": r["evidence"], "platform": "sealgate"})
    assert f["outcome"] == "refused" and f["platform"] == "simulated", f


@test("questions about evidence that are not understood are refused with their field")
def _():
    rows = ((b"", "invalid_json", None), (b"[]", None, None),
            ({}, "missing_required_parameter", "evidence"),
            ({"evidence": "A"}, "invalid_value", "evidence"),
            ({"evidence": "AA==", "userdata": ""}, "unsupported_parameter", "userdata"),
            ({"evidence": "AA==", "at": "now"}, "invalid_value", "at"))
    for body, code, param in rows:
        a = ask(body)
        assert a.status == 400 and a.error["param"] == param, (body, a.status, a.body)
        assert code is None or a.error["code"] == code, (body, a.body)
    a = stack().http("GET", PATH)
    assert a.status == 405 and a.header("allow") == "POST", (a.status, a.body)
    a = ask(b'{"evidence":"' + b"A" * (2 * 1024 * 1024) + b'"}')
    assert a.status == 413, a.status
    assert ask({"evidence": b64(bytes(1024 * 1024))}).status == 200


@test("many questions at once are all answered, at most with a 503")
def _():
    bodies = [{"evidence": b64(bytes(100000))}]
    for folder, case in GENUINE.values():  # these take long enough that others come meanwhile
        evidence, collateral, at, _fields = vectors(folder, case)
        bodies.append({"evidence": b64(evidence.read_bytes()), "at": at,
                       "collateral": [b64(p.read_bytes()) for p in collateral]})
    with concurrent.futures.ThreadPoolExecutor(48) as pool:
        answers = list(pool.map(lambda i: ask(bodies[i % len(bodies)]), range(96)))
    assert {a.status for a in answers} <= {200, 503}, {a.status for a in answers}
    assert any(a.status == 200 for a in answers)
    assert all(a.header("retry-after") for a in answers if a.status == 503)
    assert chat(stack().port, "gpt-test").status == 200


@test("a page of a stranger's site cannot make the gateway work on evidence")
def _():
    a = stack().http("POST", PATH, b"{}", [("origin", "https://stranger.example")])
    assert a.status == 403 and a.error["code"] == "origin_not_allowed", (a.status, a.body)


@test("questions about evidence need the token that everything needs")
def _():
    with Stack(start_gateway=False) as s:
        digest = hashlib.sha256(b"a-token-for-tests").hexdigest()
        token = s.write("tokens", f"{digest} tests\n")
        s.gateway_settings["tokens_file"] = token
        s.start_gateway()
        s.wait_ready()
        assert s.http("POST", PATH, b"{}").status == 401
        a = s.http("POST", PATH, b"{}", [("authorization", "Bearer a-token-for-tests")])
        assert a.status == 400, a.status


def run(*words):
    r = subprocess.run([str(programs.Options.build / "sealgate"), *map(str, words)], text=True,
                       capture_output=True, timeout=60)
    return r.returncode, r.stdout, r.stderr


@test("verify evidence ends with 0, 1 or 2: verified, refused, not decided")
def _():
    for platform, (folder, case) in GENUINE.items():
        evidence, collateral, at, fields = vectors(folder, case)
        asked = ["verify", "evidence", evidence, "--at", at]
        given = ["--collateral", ",".join(map(str, collateral))] if collateral else []
        code, text, _err = run(*asked, *given)
        assert code == 0 and text.startswith(f"VERIFIED: platform {platform}"), text
        code, text, _err = run(*asked, *given, "--json", "--user-data", user_data(fields).hex())
        assert code == 0 and json.loads(text)["outcome"] == "verified", text
        code, text, _err = run(*asked, *given, "--user-data", "00")
        assert code == 1 and text.startswith("REFUSED"), text
        code, text, _err = run(*asked, *given, "--policy", "simulated")
        assert code == 1 and text.startswith("REFUSED"), text
        if collateral:
            code, text, _err = run(*asked)
            assert code == 2 and text.startswith("NOT DECIDED"), text
    assert run("verify", "evidence", "/nowhere")[0] == 2
    assert run("verify", "evidence")[0] == 2
    assert run("verify", "evidence", __file__)[0] == 2


@test("revocation lists are taken in PEM and in hex too, offline and over HTTP")
def _():
    for platform in ("tdx", "sev-snp"):
        evidence, collateral, at, _fields = vectors(*GENUINE[platform])
        for armour in (lambda d: d.hex() + "\n",
                       lambda d: f"-----BEGIN X509 CRL-----\n{b64(d)}\n-----END X509 CRL-----\n"):
            with tempfile.TemporaryDirectory() as folder:
                files = []
                for number, name in enumerate(collateral):
                    file = pathlib.Path(folder) / str(number)
                    raw = name.read_bytes()
                    # a list begins with its version, 1, and an algorithm; nothing else does
                    is_list = b"\x02\x01\x01\x30" in raw[:13]
                    file.write_bytes(armour(raw).encode() if is_list else raw)
                    files.append(file)
                assert any(f.read_bytes() != n.read_bytes() for f, n in zip(files, collateral))
                code, text, _err = run("verify", "evidence", evidence, "--at", at, "--collateral",
                                       ",".join(map(str, files)))
                assert code == 0, text
                r = findings({"evidence": b64(evidence.read_bytes()), "at": at,
                              "collateral": [b64(f.read_bytes()) for f in files]})
                assert r["outcome"] == "verified", r


@test("verify evidence judges a worker's document by the policy that names it")
def _():
    s = stack()
    a = chat(s.port, "gpt-test")
    r = s.http("GET", f"/v1/receipts/{a.header('x-receipt-id')}").json
    with tempfile.TemporaryDirectory() as folder:
        document = pathlib.Path(folder) / "document"
        document.write_bytes(base64.b64decode(r["evidence"]))
        code, text, _err = run("verify", "evidence", document, "--policy", "simulated")
        assert code == 0 and r["evidence_sha256"] in text, text
        assert run("verify", "evidence", document)[0] == 1
        spoilt = bytearray(document.read_bytes())
        spoilt[-1] ^= 1
        document.write_bytes(spoilt)
        assert run("verify", "evidence", document, "--policy", "simulated")[0] != 0


@test("detect says what can be used here, and never names the simulated platform")
def _():
    with tempfile.TemporaryDirectory() as nothing:
        code, text, _err = run("detect", "--root", nothing)
        assert code == 1 and "absent" in text, text
        code, text, _err = run("detect", "--json", "--root", nothing)
        assert code == 1 and json.loads(text)["choice"] is None, text
    code, text, _err = run("detect", "--json")
    found = json.loads(text)
    assert code == (0 if found["choice"] else 1), text
    assert all(p["platform"] != "simulated" for p in found["platforms"]), text
