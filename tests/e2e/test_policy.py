"""Policies: signed, checked, explained, measured; changed while requests are under way"""
import concurrent.futures
import contextlib
import hashlib
import json
import pathlib
import re
import signal
import struct
import subprocess
import tempfile
import threading
import time
import zlib

import common
import recorded
import stack as programs
from client import chat, wait_for
from engine import WORDS
from stack import Options, Stack
from suite import Skip, test

TEXT = "".join(WORDS)
ANY = "platforms: [simulated]\nmeasurements: any\n"
NOBODY = ANY + "worker_names: [somebody-else]\n"
BROKEN = "platforms: [simulated]\nmeasurements:\n  pcr0: [zz]\n"


def only(*names):
    return f"{ANY}worker_names: [{', '.join(names)}]\n"


def run(*words, text=True):
    r = subprocess.run([str(Options.build / "sealgate"), *map(str, words)], text=text,
                       capture_output=True, timeout=60)
    return r.returncode, r.stdout, r.stderr


def done(*words):
    code, out, err = run(*words)
    assert code == 0, (words, code, out, err)
    return out


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield pathlib.Path(name)


class Signer:
    """A key, and policies signed by it."""

    def __init__(self, where, name="policy.key"):
        self.file = pathlib.Path(where) / name
        self.public = done("policy", "key", "-o", self.file).strip()

    def sign(self, text, version, expires="10d", to=None):
        plain = self.file.with_suffix(".yaml")
        plain.write_text(text)
        out = to or self.file.with_suffix(".signed")
        beside = pathlib.Path(f"{out}.next")
        done("policy", "sign", plain, "--key", self.file, "--version", version, "--expires", expires,
             "-o", beside)
        beside.replace(out)
        return pathlib.Path(out)


# ---- the command ----


@test("a policy is signed, cosigned and checked; exit status 0, 1 or 2")
def _():
    with folder() as f:
        a, b = Signer(f, "a.key"), Signer(f, "b.key")
        assert done("policy", "key", a.file).strip() == a.public
        assert done("policy", "key", f"{a.file}.pub").strip() == a.public != b.public
        assert run("policy", "key", "-o", a.file)[0] == 2  # never replaced
        once = a.sign(ANY, 7)
        twice = f / "twice"
        done("policy", "sign", once, "--key", b.file, "-o", twice)
        assert run("policy", "sign", twice, "--key", b.file)[0] == 2
        found = json.loads(done("policy", "check", twice, "--json"))
        assert found["version"] == 7 and found["signed_by"] == [a.public, b.public], found
        assert found["expires_at"] - found["created_at"] == 10 * 86400
        both = ["--policy-key", a.public, "--policy-key", b.public]
        assert "ok, signed" in done("policy", "check", twice, *both)
        for file, keys, at, word in ((once, both, None, "unsigned"), (f / "a.yaml", both, None, "unsigned"),
                                     (twice, both, found["expires_at"], "expired"),
                                     (twice, both, found["created_at"] - 301, "not_yet_valid")):
            more = ["--at", at] if at else []
            code, out, _err = run("policy", "check", file, *keys, *more, "--json")
            assert code == 1 and json.loads(out)["outcome"] == word, (word, out)
        spoilt = f / "spoilt"
        spoilt.write_bytes(twice.read_bytes().replace(b"any", b"Any"))
        code, out, _err = run("policy", "check", spoilt)
        assert code == 1 and out.startswith("bad_signature"), out
        assert "ok, not signed" in done("policy", "check", f / "a.yaml")
        assert run("policy", "check", f / "nowhere")[0] == 2
        assert run("policy", "sign", f / "a.yaml", "--key", a.file)[0] == 2  # no version, no end


@test("what is wrong with a policy is said with its line, in a signed one too, and it is not signed")
def _():
    with folder() as f:
        signer = Signer(f)
        bad = f / "bad.yaml"
        bad.write_text(BROKEN)
        code, out, _err = run("policy", "check", bad)
        assert code == 1 and f"{bad}:3: pcr0: " in out, out
        code, out, _err = run("policy", "check", bad, "--json")
        assert code == 1 and json.loads(out)["line"] == 3, out
        code, out, err = run("policy", "sign", bad, "--key", signer.file, "--version", 1,
                             "--expires", "1d")
        assert code == 1 and not out and ":3: pcr0" in err, (out, err)
        assert run("policy", "explain", bad)[0] == 1


@test("openssl verifies a signed policy as PROTOCOL.md says")
def _():
    with folder() as f:
        try:
            subprocess.run(["openssl", "version"], capture_output=True, check=True)
        except OSError as why:
            raise Skip("there is no openssl command") from why
        signer = Signer(f)
        signed = signer.sign(ANY, 1)
        text = (REPO / "PROTOCOL.md").read_text()
        lines = re.search(r"with standard tools.*?\n\n(.*?)\n\n", text, re.S)[1]
        script = lines.replace("policy.key.pub", f"{signer.file}.pub").replace("policy.signed", str(signed))

        def check():
            r = subprocess.run(["sh", "-ec", script], cwd=f, capture_output=True, text=True)
            return r.returncode == 0 and "Verified Successfully" in r.stdout

        assert check()
        signed.write_bytes(signed.read_bytes().replace(b"version: 1", b"version: 2"))
        assert not check()


@test("a policy is explained in words, and beside evidence each rule with the value that was met")
def _():
    s = common.shared("policy")
    with folder() as f:
        bundle = f / "bundle"
        address = f"127.0.0.1:{s.ports[0]}"
        done("attest", address, "--policy", "simulated", "--save", bundle)
        pcr0 = json.loads(done("measure", address, "--simulated", "--json"))["registers"]["pcr0"]
        policy = f / "p.yaml"
        policy.write_text(f"platforms: [simulated]\nworker_names: [w0]\nmeasurements:\n"
                          f"  pcr0: [{'ab' * 48}, {pcr0}]\n")
        out = done("policy", "explain", policy)
        assert "platforms: simulated" in out and pcr0 in out and "rules" not in out, out
        out = done("policy", "explain", policy, "--evidence", bundle)
        assert "  pass  pcr0               value 2 of 2\n" in out, out
        assert "  pass  worker_names       value 1 of 1\n" in out, out
        policy.write_text(f"platforms: [simulated]\nworker_names: [w9]\nmeasurements:\n"
                          f"  pcr0: [{pcr0}]\n")
        code, out, _err = run("policy", "explain", policy, "--evidence", bundle, "--json")
        rules = {r["rule"]: r for r in json.loads(out)["findings"]["rules"]}
        assert code == 1 and rules["worker_names"]["status"] == "fail", out
        assert rules["pcr0"] == {"rule": "pcr0", "status": "pass", "reason": "ok", "value": 1, "of": 1}
        code, out, _err = run("attest", address, "--policy", policy)
        assert code == 1 and "  fail  worker_names       mismatch: none of 1\n" in out, out


@test("the gateway's page shows the policy, and which rules each worker met")
def _():
    s = common.shared("policy")
    page = s.http("GET", "/v1/attestation").json
    assert page["policy"]["in_force"] and not page["policy"]["signed"], page["policy"]
    assert page["policy"]["latest_load"] == "accepted"
    rules = {r["rule"]: r["status"] for r in page["data"][0]["verdict"]["rules"]}
    assert rules == {"operator_keys": "skip", "model_digests": "skip", "worker_names": "skip",
                     "minimum_software": "skip"}, rules


REPO = pathlib.Path(__file__).resolve().parent.parent.parent
DOCUMENT = REPO / "deploy" / "policy.md"
SCHEMA = REPO / "deploy" / "policy.schema.json"


def examples():
    found = re.findall(r"^```yaml\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)
    assert found, "no example"
    return [*found, (REPO / "deploy" / "policy.yaml").read_text()]


def keys_of(schema):
    """The names of all settings that the schema knows."""
    for name, value in schema.get("properties", {}).items():
        yield name
        yield from keys_of(value)


@test("the policies in the documents are taken, and show every setting of the JSON Schema")
def _():
    whole = examples()[0]
    with folder() as f:
        policy = f / "policy.yaml"
        for text in examples():
            policy.write_text(text)
            done("policy", "check", policy)
            done("policy", "explain", policy)
        for name in keys_of(json.loads(SCHEMA.read_text())):
            known = re.compile(rf"^([^#\n]*?)\b{name}:", re.M)
            assert known.search(whole), f"{name} is not in the example"
            # ...and the program knows each by its name: spelt another way it is refused
            policy.write_text(known.sub(rf"\1x{name}:", whole, count=1))
            assert run("policy", "check", policy)[0] == 1, name


@test("the JSON Schema has every setting that the readers of policies have")
def _():
    known = set(keys_of(json.loads(SCHEMA.read_text())))
    readers = [REPO / "attest" / "policy.c", *(REPO / "attest").glob("*_policy.c")]
    names = {n for r in readers for n in re.findall(r'\{ "(\w+)", (?:true, |false, )?\w*read', r.read_text())}
    assert len(names) > 40, names
    assert names <= known, names - known


@test("the policies in the documents fit the JSON Schema, and what does not is not taken either")
def _():
    try:
        import jsonschema
        import yaml
    except ImportError as why:
        raise Skip("jsonschema and yaml are not installed for Python") from why
    schema = json.loads(SCHEMA.read_text())
    validator = jsonschema.Draft202012Validator(schema)
    for text in examples():
        validator.validate(yaml.safe_load(text))
    whole = examples()[0]
    with folder() as f:
        policy = f / "policy.yaml"
        for old, new in (("platforms:", "platform:"), ("max_age: 10m", "max_age: 10"),
                         ("max_vmpl: 0", "max_vmpl: 4"), ("smt: true", "smt: perhaps"),
                         ("gpus: 8", "gpus: some"), ("[milan, genoa, turin]", "[rome]"),
                         ("worker_names: [worker-1, worker-2]", "worker_names: []"),
                         ("sept_ve_disable: required", "sept_ve_disable: never")):
            assert old in whole, old
            text = whole.replace(old, new, 1)
            policy.write_text(text)
            assert run("policy", "check", policy)[0] == 1, new
            assert not validator.is_valid(yaml.safe_load(text)), new


# ---- measuring ----


@test("what is measured of a worker is a policy that accepts it, and no other image")
def _():
    s = common.shared("policy")
    with folder() as f:
        address = f"127.0.0.1:{s.ports[0]}"
        code, out, err = run("measure", address)
        assert code == 1 and not out and "nothing to pin" in err and "--simulated" in err, (code, out, err)
        for wrong, what in ((f"tls://{address}", "--ca"), (f"unix:{f}/none", "without TLS"),
                            ("vsock:16:8443", "relay"), ("nonsense", "HOST:PORT")):
            code, out, err = run("attest", wrong)
            assert code == 2 and not out and what in err, (wrong, code, out, err)
        out = done("measure", address, "--simulated")
        assert "NO PROTECTION" in out and "# worker_names: [w0]" in out, out
        policy = f / "p.yaml"
        policy.write_text(out)
        done("policy", "check", policy)
        done("attest", address, "--policy", policy)
        policy.write_text(re.sub(r"(pcr0: \[)..", r"\g<1>00", out))
        assert run("attest", address, "--policy", policy)[0] == 1
        assert run("measure", "127.0.0.1:1")[0] == 2
        assert run("measure")[0] == 2


@test("what is measured of genuine evidence is a policy that accepts it, and says what is not proved")
def _():
    for platform, name, register in (("nitro", "prod-2023-01-tls-spki", "pcr0"),
                                     ("sev-snp", "turin-v5", "measurement"),
                                     ("tdx", "v4-b0c06f-uptodate", "mrtd")):
        where, c = recorded.folder_of(platform), recorded.case(platform, name)
        main = where / next(c[k] for k in ("quote", "report", "doc") if k in c)
        files = list((c.get("collateral") or {}).values()) + c.get("chain", [])
        files += [c[k] for k in ("leaf", "crl") if c.get(k)]
        given = ["--at", c["verify_time"]]
        if files:
            given += ["--collateral", ",".join(str(where / n) for n in files)]
        with folder() as f:
            out = done("measure", "--evidence", main, *given)
            assert f"platforms: [{platform}]" in out and "NOT PROVED" in out, out
            assert c["fields"].get(register, "") in out, out
            policy = f / "p.yaml"
            policy.write_text(out)
            found = done("verify", "evidence", main, *given, "--policy", policy)
            assert found.startswith("VERIFIED") and f"  pass  {register} " in found, found
            policy.write_text(re.sub(rf"(\n  {register}: \[)(.)", lambda m: m[1] + ("1" if m[2] == "0" else "0"), out))
            code, found, _err = run("verify", "evidence", main, *given, "--policy", policy)
            assert code == 1 and f"  fail  {register} " in found, found
            assert run("measure", "--evidence", main, *given[2:], "--at", 1000)[0] != 0


def image(*ramdisks):
    """An enclave image of version 3, and its PCRs."""
    parts = [(1, b"kernel"), (2, b"quiet"), *((3, r) for r in ramdisks)]
    head = bytearray(548)
    struct.pack_into(">4sHH", head, 0, b".eif", 3, 0)
    struct.pack_into(">H", head, 0x1a, len(parts))
    body = b""
    for i, (kind, data) in enumerate(parts):
        struct.pack_into(">Q", head, 0x1c + 8 * i, 548 + len(body))
        struct.pack_into(">Q", head, 0x11c + 8 * i, len(data))
        body += struct.pack(">HHQ", kind, 0, len(data)) + data
    struct.pack_into(">I", head, 0x220, zlib.crc32(bytes(head[:0x220]) + body))

    def pcr(*data):
        return hashlib.sha384(bytes(48) + hashlib.sha384(b"".join(data)).digest()).hexdigest()

    return bytes(head) + body, [pcr(b"kernel", b"quiet", *ramdisks), pcr(b"kernel", b"quiet", ramdisks[0]),
                                pcr(*ramdisks[1:])]


@test("what is measured of an enclave image is a policy of its PCRs")
def _():
    with folder() as f:
        data, pcrs = image(b"init", b"application", b"more" * 100000)
        file, policy = f / "enclave.eif", f / "p.yaml"
        file.write_bytes(data)
        out = done("measure", "--image", file)
        policy.write_text(out)
        done("policy", "check", policy)
        for i, pcr in enumerate(pcrs):
            assert f"  pcr{i}: [{pcr}]\n" in out, out
        assert "platforms: [nitro]" in out and "Nothing is proved" in out
        assert json.loads(done("measure", "--image", file, "--json"))["registers"]["pcr2"] == pcrs[2]
        file.write_bytes(data[:-1] + b"X")
        assert run("measure", "--image", file)[0] == 2
        assert run("measure", "--image", file, "--evidence", file)[0] == 2


# ---- a running gateway ----


@contextlib.contextmanager
def running(policy, workers=1, keys=(), **gateway):
    """A gateway whose policy is a file."""
    settings = {"policy_key": list(keys) or None, "policy_state": "state", "worker_timeout": "500ms",
                **gateway}
    with Stack(workers=workers, start_gateway=False, ready=False) as s:
        file = pathlib.Path(s.folder) / "policy"
        s.policy = file
        s.gateway_settings.update(settings, policy=str(file))
        policy(file) if callable(policy) else file.write_text(policy)
        s.start_gateway()
        s.wait_all_ready()
        yield s


def put(s, text):
    """In one step, as one should."""
    beside = s.policy.with_suffix(".next")
    beside.write_text(text)
    beside.replace(s.policy)


def loads(s, outcome):
    return s.metric("sealgate_policy_loads_total", outcome=outcome)


def reload(s, outcome="accepted"):
    """SIGHUP; back when the gateway has taken or refused the policy."""
    before = loads(s, outcome)
    s.gateway.signal(signal.SIGHUP)
    wait_for(lambda: loads(s, outcome) > before)


def lines(s, message):
    return [x for x in s.gateway.log.splitlines() if message in x]


def refused(s):
    before = len(s.engine.calls)
    a = chat(s.port, "gpt-test")
    assert a.status == 503 and a.error["code"] == "no_attested_worker", (a.status, a.body)
    assert len(s.engine.calls) == before


def served(s):
    a = chat(s.port, "gpt-test")
    assert a.status == 200, (a.status, a.body)
    return common.receipt_of(s, a)[0]["iss"]


@contextlib.contextmanager
def under_way(s):
    """A stream that ends only when this does; gives its future."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(chat, s.port, "gate-a", True)
        try:
            wait_for(lambda: s.engine.of("gate-a"))
            yield answer
        finally:
            s.engine.release["a"] = True


@test("a worker that a new policy has no place for is out before the next request, and comes back")
def _():
    with running(ANY) as s:
        assert served(s) == "w0"
        put(s, NOBODY)
        reload(s)
        refused(s)
        assert s.http("GET", "/readyz").status == 503
        page = s.http("GET", "/v1/attestation").json
        assert not page["data"][0]["trusted"], page
        assert len(lines(s, "worker does not fit the new policy")) == 1
        put(s, ANY)
        reload(s)
        s.wait_all_ready()
        assert served(s) == "w0"


@test("a request that is under way when the policy changes finishes, with its receipt")
def _():
    with running(ANY) as s:
        with under_way(s) as answer:
            put(s, NOBODY)
            reload(s)
            refused(s)
            reload(s)  # once more, so that another view of the workers is seen
        a = answer.result()
        assert a.status == 200 and a.complete and a.text() == TEXT, a.body
        common.receipt_of(s, a)
        refused(s)


@test("a policy file that changes is taken without a signal")
def _():
    with running(ANY) as s:
        put(s, NOBODY)
        wait_for(lambda: s.http("GET", "/readyz").status == 503)
        put(s, ANY)
        s.wait_all_ready()
        assert served(s) == "w0"


@test("no request fails while policies move from one worker to the other and back")
def _():
    with running(only("w0", "w1"), workers=2, worker_timeout="20s") as s:
        wait_for(lambda: all(w["trusted"] for w in s.http("GET", "/v1/attestation").json["data"]))
        stop, faults, count = threading.Event(), [], [0]

        def ask(stream):
            while not stop.is_set():
                a = chat(s.port, "gpt-test", stream)
                if a.status != 200 or not a.complete:
                    faults.append((a.status, bytes(a.body)))
                count[0] += 1

        with concurrent.futures.ThreadPoolExecutor() as pool:
            asking = [pool.submit(ask, i % 2 == 0) for i in range(4)]
            try:
                for name in ("w0", "w1", "w0"):
                    put(s, only("w0", "w1"))
                    reload(s)
                    wait_for(lambda: all(w["trusted"] for w in
                                         s.http("GET", "/v1/attestation").json["data"]))
                    put(s, only(name))
                    reload(s)
                    assert {served(s) for _ in range(6)} == {name}
            finally:
                stop.set()
            for a in asking:
                a.result()
        assert not faults and count[0] > 20, (count, faults[:3])


@test("what does not read, is signed by another, or is older leaves the policy in force")
def _():
    with folder() as f:
        good, other = Signer(f, "good.key"), Signer(f, "other.key")
        with running(lambda file: good.sign(ANY, 5, to=file), keys=[good.public]) as s:
            assert s.metric("sealgate_policy_version") == 5

            def still(outcome):
                """One line, one count, and nothing else changes."""
                before = len(lines(s, "policy refused"))
                reload(s, outcome)
                assert len(lines(s, "policy refused")) == before + 1
                assert outcome in lines(s, "policy refused")[-1]
                page = s.http("GET", "/v1/attestation").json
                assert page["policy"]["latest_load"] == outcome, page["policy"]
                assert page["policy"]["version"] == 5 and page["policy"]["in_force"]
                assert served(s) == "w0"

            put(s, NOBODY)
            still("unsigned")
            other.sign(NOBODY, 6, to=s.policy)
            still("unsigned")
            good.sign(NOBODY, 4, to=s.policy)
            still("older")
            good.sign(NOBODY, 5, to=s.policy)
            still("older")
            put(s, good.sign(NOBODY, 6).read_text().replace("somebody", "anyother"))
            still("bad_signature")
            put(s, good.sign(NOBODY, 6).read_text()[:-1])
            still("malformed")
            s.policy.unlink()
            still("unreadable")
            good.sign(NOBODY, 6, to=s.policy)
            reload(s)
            refused(s)


@test("a policy that is not YAML leaves the one in force, with one line and one count")
def _():
    with running(ANY) as s:
        for text in (BROKEN, "", "platforms: [simulated]\n", "\x00"):
            put(s, text)
            reload(s, "malformed")
            assert served(s) == "w0"
        assert len(lines(s, "policy refused")) >= 4


@test("an older policy is refused after a restart, too")
def _():
    with folder() as f:
        signer = Signer(f)
        with running(lambda file: signer.sign(ANY, 5, to=file), keys=[signer.public]) as s:
            signer.sign(NOBODY, 6, to=s.policy)
            reload(s)
            s.gateway.stop()
            signer.sign(ANY, 5, to=s.policy)
            gateway = programs.Program("sealgate-gateway", programs.flags(s.gateway_settings), s.folder)
            assert gateway.wait() == 1 and "later version was in force" in gateway.log, gateway.log
            signer.sign(ANY, 7, to=s.policy)
            s.start_gateway()
            s.wait_all_ready()
            assert served(s) == "w0"


@test("when the policy expires no worker is accepted any more, until there is a later one")
def _():
    with folder() as f:
        signer = Signer(f)
        over = int(time.time()) + 12 * Options.patience
        with running(lambda file: signer.sign(ANY, 1, str(over), to=file), keys=[signer.public]) as s:
            assert s.metric("sealgate_policy_expires_timestamp_seconds") == over
            with under_way(s) as answer:
                wait_for(lambda: s.http("GET", "/readyz").status == 503)
                assert time.time() >= over
                refused(s)
                assert s.metric("sealgate_policy_in_force") == 0
                wait_for(lambda: lines(s, "policy has expired"))
                assert len(lines(s, "policy has expired")) == 1
                page = s.http("GET", "/v1/attestation").json
                assert not page["policy"]["in_force"] and not page["data"][0]["trusted"], page
            assert answer.result().complete
            s.gateway.signal(signal.SIGHUP)
            wait_for(lambda: loads(s, "expired") == 1)
            signer.sign(ANY, 2, to=s.policy)
            s.wait_all_ready()
            assert served(s) == "w0" and s.metric("sealgate_policy_in_force") == 1


@test("a gateway does not start with a policy that is unsigned, expired, or by a key that is no key")
def _():
    with folder() as f:
        signer = Signer(f)
        plain = f / "plain.yaml"
        plain.write_text(ANY)
        over = signer.sign(ANY, 1, str(int(time.time()) + 1))
        wait_for(lambda: run("policy", "check", over)[0] == 1)
        for policy, key, word in ((plain, signer.public, "not signed"),
                                  ("simulated", signer.public, "not signed"),
                                  (over, signer.public, "expired"), (plain, "ab", "policy_key")):
            code, out = programs.run("sealgate-gateway", "--listen=127.0.0.1:0", "--receipts=:memory:",
                                     f"--policy={policy}", f"--policy-key={key}",
                                     f"--policy-state={f / 'state'}")
            assert code == 1 and word in out, (word, out)


def finish():
    common.finish("policy")
