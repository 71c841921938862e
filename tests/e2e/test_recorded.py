"""Recorded evidence of hardware through the whole control path; wrong evidence of every kind, and
nothing of a prompt goes to who shows it"""
import base64
import contextlib
import hashlib
import json
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import time

import air
import recorded
from client import PROMPT_CANARY, chat, http, wait_for
from engine import WORDS
from proxy import DATA, END_STREAM, PREFACE, Proxy, frames_of
from stack import Options, Program, Stack, flags, free_port, is_open, run
from suite import test

TEXT = "".join(WORDS)
GENUINE = {"tdx": "v4-b0c06f-uptodate", "sev-snp": "turin-v5", "nitro": "prod-2025-12-us-east-1"}
PROFILES = {"tdx": air.V1, "sev-snp": air.SEALGATE, "nitro": air.V1}
TYPES = {"tdx": "tdx-mrtd-rtmr", "sev-snp": "sev-snp", "nitro": "nitro-pcr"}
SHIPPED = ("sealgate-gateway", "sealgate-worker", "sealgate")


def at_time(unix_s, **more):
    """What makes a test-only program live at that time; the shipped ones know nothing of it."""
    return {"SEALGATE_TEST_CLOCK": str(unix_s - int(time.time())), **more}


def lay_out(folder, **files):
    folder.mkdir()
    for name, content in files.items():
        if content is not None:
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return str(folder)


def lay_out_case(folder, platform, c):
    evidence, collateral = recorded.evidence(platform, c)
    return lay_out(folder, platform=platform, evidence=evidence, collateral=collateral or None)


@contextlib.contextmanager
def scratch():
    folder = tempfile.mkdtemp(prefix="sealgate-recorded-")
    try:
        yield pathlib.Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def failure(worker):
    """Which check refused a worker of the page /v1/attestation; or what else is the trouble."""
    for c in worker.get("verdict", {}).get("checks", []):
        if c["status"] == "fail":
            return c["check"]
    return worker.get("trouble")


def page(port):
    return http(port, "GET", "/v1/attestation").json["data"]


def wait_until_judged(s, program, port):
    """The page once there is a word on each worker."""
    def judged():
        program.check()
        workers = page(port)
        return len(workers) == len(s.workers) and all(w["trusted"] or failure(w) for w in workers)
    wait_for(judged)
    return page(port)


# ---- the whole path, with the binding taken away ----


@test("the shipped programs have nothing of what takes the binding away in tests")
def _():
    for name in SHIPPED:
        data = (Options.build / name).read_bytes()
        assert b"SEALGATE_TEST" not in data, name
    for name in ("unbound-gateway", "recorded-worker"):
        assert b"SEALGATE_TEST_UNBOUND" in (Options.build / "tests/e2e" / name).read_bytes(), name


@contextlib.contextmanager
def genuine(platform, **settings):
    c = recorded.case(platform, GENUINE[platform])
    with scratch() as folder:
        shown = lay_out_case(folder / "shown", platform, c)
        policy = folder / "policy.yaml"
        policy.write_text(recorded.policy(platform, c["fields"], **settings))
        env = at_time(c["verify_time"], SEALGATE_TEST_UNBOUND="1")
        gateway = {"policy": str(policy), "collateral_offline": True, "collateral": str(folder),
                   "worker_timeout": "500ms", "shards": 1}
        with Stack(worker_binary="recorded-worker", between=Proxy, start_gateway=False,
                   env={**env, "SEALGATE_TEST_EVIDENCE": shown}, gateway=gateway,
                   gateway_binary="unbound-gateway", gateway_env=env) as s:
            yield s, c


def receipt_shows(s, answer, platform, fields):
    r = s.http("GET", f"/v1/receipts/{answer.header('x-receipt-id')}").json
    claims = air.verify(base64.b64decode(r["receipt"]), bytes.fromhex(r["signing_key"]),
                        PROFILES[platform])
    shown = claims["enclave_measurements"]
    assert claims["security_mode"] == "production", claims
    assert shown["measurement_type"] == TYPES[platform], shown
    names = dict(zip(("mrtd", "rtmr0", "rtmr1", "rtmr2"), ("pcr0", "pcr1", "pcr2", "pcr3")))
    for name, value in recorded.registers(platform, fields).items():
        if platform != "tdx" or name in names:
            assert shown[names.get(name, name)].hex() == value, (name, shown)


def serves_recorded(platform):
    with genuine(platform) as (s, c):
        s.start_gateway()
        s.wait_ready()
        (worker,) = page(s.port)
        assert worker["trusted"] and worker["verdict"]["platform"] == platform, worker
        assert worker["verdict"]["trust"] == "hardware", worker
        whole = chat(s.port, "gpt-test")
        assert whole.status == 200, whole.body
        stream = chat(s.port, "gpt-test", True)
        assert stream.complete and stream.text() == TEXT, stream.body
        for answer in (whole, stream):
            receipt_shows(s, answer, platform, c["fields"])
        assert PROMPT_CANARY.encode() not in s.proxies[0].captured()
        assert len(s.engine.calls) == 2


for _platform in recorded.PLATFORMS:
    @test(f"recorded {_platform} evidence is judged, then requests flow and receipts show its registers")
    def _(platform=_platform):
        serves_recorded(platform)


@test("a worker whose own evidence does not hold does not start, and says what is wrong with it")
def _():
    def starts(**env):
        return run("tests/e2e/recorded-worker", "--platform", "simulated", "--listen",
                   "127.0.0.1:0", env=env)
    with scratch() as folder:
        good = recorded.case("tdx", GENUINE["tdx"])
        debug = recorded.case("tdx", "v4-50806f-debug")
        flipped = next(c for c in recorded.cases("tdx") if c["id"] == "flip-mrtd")
        shown = {c["id"]: lay_out_case(folder / c["id"], "tdx", c) for c in (good, debug, flipped)}
        for check, env in (
                ("binding", {"SEALGATE_TEST_SUBJECT": "identity"}),
                ("binding", at_time(good["verify_time"],
                                    SEALGATE_TEST_EVIDENCE=shown[good["id"]])),
                ("signature", at_time(flipped["verify_time"], SEALGATE_TEST_UNBOUND="1",
                                      SEALGATE_TEST_EVIDENCE=shown[flipped["id"]])),
                ("debug", at_time(debug["verify_time"], SEALGATE_TEST_UNBOUND="1",
                                  SEALGATE_TEST_EVIDENCE=shown[debug["id"]]))):
            status, out = starts(**env)
            assert status == 1 and "listening" not in out, (env, out)
            assert f"the TEE's own evidence does not hold: {check}" in out, (env, out)


# ---- nothing goes to who is refused ----


def only_questions(proxy):
    """All that a gateway sent: questions for evidence, each with a nonce and nothing else."""
    asked = 0
    for link in proxy.links:
        assert not link.sealed, "something sealed was sent"
        assert PROMPT_CANARY.encode() not in link.to_worker
        assert link.to_worker[:len(PREFACE)] == PREFACE[:len(link.to_worker)]
        for f in frames_of(link.to_worker[len(PREFACE):])[0]:
            if f.kind == DATA and f.payload:
                assert list(json.loads(f.payload)) == ["nonce"], f.payload
                asked += 1
    return asked


def refuses_prompts(s, ports):
    """Prompts are asked for of each gateway; none of them leaves it, by its own word or any other."""
    for port in ports:
        assert http(port, "GET", "/readyz").status == 503
        for stream in (False, True):
            a = chat(port, "gpt-test", stream)
            assert a.status == 503 and a.error["code"] == "no_attested_worker", (a.status, a.body)
    asked = [only_questions(p) for p in s.proxies]
    assert all(asked), f"not all of them were asked for evidence: {asked}"
    assert not s.engine.calls


class Shipped:
    """The gateway as it is shipped, beside the one of a stack and with the same settings."""

    def __init__(self, s):
        self.port = free_port()
        settings = {**s.gateway_settings, "listen": f"127.0.0.1:{self.port}",
                    "receipts": "shipped.db"}
        self.program = Program("sealgate-gateway", flags(settings), s.folder)
        wait_for(lambda: is_open(self.port) or not self.program.alive())
        self.program.check()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.program.stop()
        else:
            self.program.kill()


for _platform in recorded.PLATFORMS:
    @test(f"recorded {_platform} evidence is refused by its binding, and by the shipped gateway")
    def _(platform=_platform):
        with genuine(platform) as (s, _c):
            s.gateway_env = {**s.gateway_env, "SEALGATE_TEST_UNBOUND": "0"}
            s.start_gateway()
            (worker,) = wait_until_judged(s, s.gateway, s.port)
            assert failure(worker) == "binding", worker
            with Shipped(s) as shipped:
                (worker,) = wait_until_judged(s, shipped.program, shipped.port)
                assert not worker["trusted"], worker
                refuses_prompts(s, (s.port, shipped.port))

    @test(f"recorded {_platform} evidence with one wrong measurement is refused")
    def _(platform=_platform):
        with genuine(platform, spoilt=True) as (s, _c):
            s.start_gateway()
            (worker,) = wait_until_judged(s, s.gateway, s.port)
            assert failure(worker) == "measurements", worker
            refuses_prompts(s, (s.port,))

    @test(f"recorded {_platform} evidence without the GPUs that the policy names is refused")
    def _(platform=_platform):
        with genuine(platform, more="nvidia:\n  gpus: 1\n") as (s, _c):
            s.start_gateway()
            (worker,) = wait_until_judged(s, s.gateway, s.port)
            assert failure(worker) == "gpu", worker
            refuses_prompts(s, (s.port,))


# ---- GPUs ----

LENIENT = "  manifests: false\n  revocation: false\n"


@contextlib.contextmanager
def with_gpu(env, gateway, nvidia, **settings):
    """A worker beside whose simulated TEE there is a GPU, and a gateway that knows what to expect."""
    with scratch() as folder:
        policy = folder / "policy.yaml"
        policy.write_text("platforms: [simulated]\nmeasurements: any\n" + nvidia)
        with Stack(between=Proxy, start_gateway=False, env=env(folder), gateway_binary=gateway,
                   gateway_env=at_time(recorded.GPU_AT, SEALGATE_TEST_UNBOUND="1",
                                       SEALGATE_TEST_GPU_NONCE=recorded.GPU_NONCE),
                   gateway={"policy": str(policy), "collateral_offline": True,
                            "collateral": str(folder), "worker_timeout": "300ms", "shards": 1},
                   **settings) as s:
            s.start_gateway()
            yield s


def nvml(folder, **more):
    """NVIDIA's library, in the place where the worker looks for it."""
    report, chain = recorded.gpu_device()
    shown = lay_out(folder / "gpu", report=report, chain=chain)
    shutil.copy(Options.build / "tests/e2e/libfake-nvml.so", folder / "gpu" / "libnvidia-ml.so.1")
    return {"LD_LIBRARY_PATH": shown, "SEALGATE_TEST_NVML": shown, **more}


def shows_a_gpu(s):
    s.wait_ready()
    a = chat(s.port, "gpt-test", True)
    assert a.complete and a.text() == TEXT, a.body
    r = s.http("GET", f"/v1/receipts/{a.header('x-receipt-id')}").json
    claims = air.verify(base64.b64decode(r["receipt"]), bytes.fromhex(r["signing_key"]),
                        air.SEALGATE)
    assert claims["gpu"]["gpus"] == 1, claims


@test("recorded evidence of a GPU, with all that NVIDIA says of it, is judged and stands in receipts")
def _():
    def env(folder):
        return at_time(recorded.GPU_AT, SEALGATE_TEST_EVIDENCE=lay_out(
            folder / "shown", gpu=recorded.gpu_evidence()))
    with with_gpu(env, "unbound-gateway", "nvidia:\n  gpus: 1\n",
                  worker_binary="recorded-worker") as s:
        shows_a_gpu(s)
    for nvidia in ("nvidia:\n  gpus: 2\n", "nvidia:\n  gpus: 1\n  models: [GB100]\n",
                   "nvidia:\n  gpus: 1\n  minimum_driver: 550.90.08\n", ""):
        with with_gpu(env, "unbound-gateway", nvidia, worker_binary="recorded-worker") as s:
            (worker,) = wait_until_judged(s, s.gateway, s.port)
            assert failure(worker) == "gpu", (nvidia, worker)
            refuses_prompts(s, (s.port,))


@test("the worker asks NVIDIA's library where it is installed, and shows what that says")
def _():
    with with_gpu(lambda f: at_time(recorded.GPU_AT, **nvml(f)), "unbound-gateway",
                  "nvidia:\n  gpus: 1\n" + LENIENT, worker_binary="recorded-worker",
                  worker={"gpu": "required"}) as s:
        shows_a_gpu(s)


@test("the shipped gateway refuses a GPU's recorded evidence, which answers another question")
def _():
    for nvidia in ("nvidia:\n  gpus: 1\n" + LENIENT, ""):
        with with_gpu(nvml, "sealgate-gateway", nvidia) as s:
            (worker,) = wait_until_judged(s, s.gateway, s.port)
            assert failure(worker) == "gpu", (nvidia, worker)
            refuses_prompts(s, (s.port,))


@test("a worker that has to show GPUs does not start without, and says what is missing")
def _():
    with scratch() as folder:
        for env, word in (({}, "libnvidia-ml.so.1"),
                          (nvml(folder, SEALGATE_TEST_NVML_FEATURE="0"), "confidential mode")):
            status, out = run("sealgate-worker", "--platform", "simulated", "--gpu", "required",
                              "--listen", "127.0.0.1:0", env=env)
            assert status == 1 and "gpu: " in out and word in out, out


# ---- a cloud's word ----

IMAGE = "5a" * 32


def answers(path):
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
        return True
    except OSError:
        return False


@contextlib.contextmanager
def confidential_space(gcp, image=IMAGE):
    """A worker that asks a launcher for Google's word, and the shipped gateway. gcp: how the policy's
    section of that name looks, of the launcher's root."""
    with scratch() as folder:
        path, root = folder / "teeserver.sock", folder / "root"
        launcher = Program("fake-launcher", [str(path), str(root), image], str(folder))
        try:
            wait_for(lambda: answers(path) or not launcher.alive())
            launcher.check()
            policy = folder / "policy.yaml"
            policy.write_text("platforms: [gcp-confidential-space]\nmeasurements:\n"
                              f"  image_digest: [{IMAGE}]\n" + gcp(root.read_text()))
            with Stack(worker_binary="recorded-worker", between=Proxy, start_gateway=False,
                       env={"SEALGATE_TEST_LAUNCHER": str(path)},
                       gateway={"policy": str(policy), "worker_timeout": "300ms", "shards": 1}) as s:
                s.start_gateway()
                yield s
        finally:
            launcher.kill()


def its_root(root):
    return f"gcp:\n  extra_roots: [{root}]\n"


@test("a worker in Confidential Space serves by Google's word, and its receipts do not say hardware")
def _():
    with confidential_space(its_root) as s:
        s.wait_ready()
        (worker,) = page(s.port)
        assert worker["verdict"]["trust"] == "vouched", worker
        a = chat(s.port, "gpt-test", True)
        assert a.complete and a.text() == TEXT, a.body
        r = s.http("GET", f"/v1/receipts/{a.header('x-receipt-id')}").json
        claims = air.verify(base64.b64decode(r["receipt"]), bytes.fromhex(r["signing_key"]),
                            air.SEALGATE)
        assert claims["enclave_measurements"]["image_digest"].hex() == IMAGE, claims
        assert claims["security_mode"] == "evaluation", claims
        assert "below hardware" in s.gateway.log


@test("the word of another root, on another image, or on other hardware is refused")
def _():
    for gcp, image, check in (
            (lambda root: "", IMAGE, "signature"), (its_root, "5b" * 32, "measurements"),
            (lambda root: its_root(root) + "  hwmodels: [amd-sev-snp]\n", IMAGE, "measurements")):
        with confidential_space(gcp, image) as s:
            (worker,) = wait_until_judged(s, s.gateway, s.port)
            assert failure(worker) == check, (check, worker)
            refuses_prompts(s, (s.port,))


# ---- every case that the shared vectors know to be wrong ----

# Wrong only for what a question asked, which the binding stands for and is taken away.
ASKED = {"nonce", "public-key", "measurement"}
AT_ONCE = 16


def wrong_cases(platform):
    """One case per reason and time, in lots of one time."""
    seen, lots = set(), {}
    for c in recorded.cases(platform):
        key = (c["reason"], c["verify_time"])
        if c["expect"] == "reject" and key not in seen:
            seen.add(key)
            lots.setdefault(c["verify_time"], []).append(c)
    for at, lot in lots.items():
        for i in range(0, len(lot), AT_ONCE):
            yield at, lot[i:i + AT_ONCE]


def extra_root(platform):
    """The root that the made-up documents of the vectors lead to, so that it is not that alone."""
    if platform != "nitro":
        return ""
    pem = (recorded.folder_of(platform) / "synthetic" / "test_root.pem").read_text()
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    return f"nitro:\n  extra_roots: [{digest}]\n"


def refuses_lot(platform, at, lot):
    fields = recorded.case(platform, GENUINE[platform])["fields"]
    with scratch() as folder:
        policy = folder / "policy.yaml"
        policy.write_text(recorded.policy(platform, fields, extra_root(platform)))
        shown = [lay_out_case(folder / c["id"], platform, c) for c in lot]
        env = at_time(at, SEALGATE_TEST_UNBOUND="1")
        with Stack(workers=len(lot), worker_binary="recorded-worker", between=Proxy, ready=False,
                   env=lambda i: {**env, "SEALGATE_TEST_EVIDENCE": shown[i],
                                  "SEALGATE_TEST_BEND": "1"},
                   gateway_binary="unbound-gateway", gateway_env=env,
                   gateway={"policy": str(policy), "collateral_offline": True,
                            "collateral": str(folder), "worker_timeout": "300ms", "shards": 1,
                            # the gateway that accepts too much would ask for models, sealed
                            "worker_probe": 0}) as s:
            workers = wait_until_judged(s, s.gateway, s.port)
            for c, w in zip(lot, workers):
                assert not w["trusted"] or c["reason"] in ASKED, (c["id"], w)
                assert failure(w) != "binding", (c["id"], w)
                if c["kind"] == "genuine" and "debug" in c["reason"]:
                    assert failure(w) == "debug", (c["id"], w)
            with Shipped(s) as shipped:
                for w in wait_until_judged(s, shipped.program, shipped.port):
                    assert not w["trusted"], w
                if all(c["reason"] not in ASKED for c in lot):
                    refuses_prompts(s, (s.port,))
                refuses_prompts(s, (shipped.port,))
    return len(lot)


for _platform in recorded.PLATFORMS:
    @test(f"every kind of wrong {_platform} evidence is refused, and gets not one byte of a prompt",
          seconds=180)
    def _(platform=_platform):
        assert sum(refuses_lot(platform, *lot) for lot in wrong_cases(platform)) >= 15


# ---- revoked keys: only a root of our own makes them ----

MADE_AT = 1700000000
MADE = ("good", "pck-revoked", "ca-revoked", "signer-revoked")


def make_tdx(folder, recipe):
    lay_out(folder, platform="tdx")
    subprocess.run([str(Options.build / "tests/e2e/make-tdx"), recipe, str(folder)], check=True)
    return str(folder)


@test("evidence of revoked keys is refused, and gets not one byte of a prompt")
def _():
    with scratch() as folder:
        shown = [make_tdx(folder / recipe, recipe) for recipe in MADE]
        roots = ", ".join(pathlib.Path(f, "root").read_text() for f in shown)
        policy = folder / "policy.yaml"
        policy.write_text("platforms: [tdx]\nmeasurements:\n" +
                          pathlib.Path(shown[0], "registers").read_text() +
                          f"tdx:\n  extra_roots: [{roots}]\n")
        env = at_time(MADE_AT, SEALGATE_TEST_UNBOUND="1")
        with Stack(workers=len(MADE), worker_binary="recorded-worker", between=Proxy, ready=False,
                   env=lambda i: {**env, "SEALGATE_TEST_EVIDENCE": shown[i],
                                  "SEALGATE_TEST_BEND": "1"},
                   gateway_binary="unbound-gateway", gateway_env=env,
                   gateway={"policy": str(policy), "collateral_offline": True,
                            "collateral": str(folder), "worker_timeout": "300ms"}) as s:
            good, *revoked = wait_until_judged(s, s.gateway, s.port)
            assert good["trusted"], good
            assert [failure(w) for w in revoked] == ["signature", "signature", "signature"], revoked
            with Shipped(s) as shipped:
                for w in wait_until_judged(s, shipped.program, shipped.port):
                    assert not w["trusted"], w
                refuses_prompts(s, (shipped.port,))


# ---- the shipped gateway, which would accept the worker if it were not for one thing ----


def bundle_of_a_worker():
    """One that was good once, for another question: the answer that is a CBOR map."""
    with Stack(between=Proxy) as s:
        for link in s.proxies[0].links:
            bodies, whole = {}, set()
            for f in frames_of(link.to_gateway)[0]:
                if f.kind == DATA:
                    bodies[f.stream] = bodies.get(f.stream, b"") + f.payload
                    whole |= {f.stream} if f.flags & END_STREAM else set()
            # One that was given up in the middle, for another question, is no bundle.
            for stream in sorted(whole):
                if bodies[stream][:1] == b"\xa7":
                    return bodies[stream]
    raise AssertionError("nobody was asked")


def bent(folder):
    """What each of a row of workers does wrong: (expected failure or None for any, environment)."""
    day = 24 * 60 * 60
    old = bundle_of_a_worker()
    nitro = recorded.evidence("nitro", recorded.case("nitro", GENUINE["nitro"]))[0]

    def shows(name, **files):
        return {"SEALGATE_TEST_EVIDENCE": lay_out(folder / name, **files)}
    yield from (("binding", {"SEALGATE_TEST_SUBJECT": part})
                for part in ("nonce", "identity", "claims"))
    yield "nonce", shows("replayed", bundle=old)
    yield "freshness", {"SEALGATE_TEST_CLOCK": str(-day)}
    yield "freshness", {"SEALGATE_TEST_CLOCK": str(day)}
    yield "gpu", shows("gpu", gpu=b"these are no GPUs")
    yield "form", shows("empty", bundle=b"")
    yield "form", shows("garbage", bundle=b"\xff" * 4096)
    yield "form", shows("page", bundle=b"<html>503 Service Unavailable</html>")
    yield "form", shows("truncated", bundle=old[:-1])
    yield "form", shows("longer", bundle=old + b"\0")
    yield None, shows("huge", bundle=b"\xa9" + bytes(1024 * 1024))
    yield "form", shows("promising", bundle=b"\xa9\x5b" + b"\xff" * 8)
    yield "form", shows("named-simulated", platform="simulated", evidence=nitro)
    yield None, shows("other", platform="nitro", evidence=nitro)
    yield "form", shows("unknown", platform="sgx", evidence=nitro)
    yield from ((None, {"SEALGATE_TEST_FLIP": str(n)}) for n in range(0, 1000, 77))


@test("the shipped gateway accepts the tests' worker as long as it does nothing wrong")
def _():
    with Stack(worker_binary="recorded-worker") as s:
        assert chat(s.port, "gpt-test", True).complete


@test("the shipped gateway refuses evidence that is wrong in one thing, and sends no byte of a prompt")
def _():
    with scratch() as folder:
        kinds = list(bent(folder))
        with Stack(workers=len(kinds), worker_binary="recorded-worker", between=Proxy, ready=False,
                   env=lambda i: {"SEALGATE_TEST_BEND": "1", **kinds[i][1]},
                   gateway={"worker_timeout": "300ms", "shards": 1}) as s:
            workers = wait_until_judged(s, s.gateway, s.port)
            for (expected, how), w in zip(kinds, workers):
                assert not w["trusted"], (how, w)
                assert expected in (None, failure(w)), (expected, how, w)
            refuses_prompts(s, (s.port,))
