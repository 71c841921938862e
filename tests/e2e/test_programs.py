"""The programs: settings, starting, ending, and the command for people"""
import json
import os
import pathlib
import signal
import tempfile

from client import Broken, PROMPT_CANARY, chat, chat_body, http, wait_for
from engine import WORDS
from stack import Program, Stack, flags, free_port, is_open, run
from suite import Skip, test

TEXT = "".join(WORDS)
PROGRAMS = ("sealgate-gateway", "sealgate-worker")


@test("--help and --version answer and succeed")
def _():
    for program in (*PROGRAMS, "sealgate"):
        status, out = run(program, "--help")
        assert status == 0 and "usage: " + program in out, (program, out)
        status, out = run(program, "--version")
        assert status == 0 and program.split(" ")[0] in out, (program, out)
    for command in ("up", "chat", "verify", "attest"):
        status, out = run("sealgate", command, "--help")
        assert status == 0 and "--config" in out, (command, out)


@test("--print-config prints a file that gives the same settings again")
def _():
    for program in PROGRAMS:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "settings.yaml"
            status, first = run(program, "--listen=127.0.0.1:4567", "--log-level=debug",
                                "--body-max=1MiB", "--print-config")
            assert status == 0 and "4567" in first and "1MiB" in first
            path.write_text(first)
            status, second = run(program, "--config", str(path), "--print-config")
            assert (status, second) == (0, first), second


@test("a flag wins over the environment, that over the file, that over the default")
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "s.yaml"
        path.write_text("idle_timeout: 11s\nhead_timeout: 12s\nbody_timeout: 13s\n")
        _status, out = run("sealgate-gateway", f"--config={path}", "--idle-timeout=31s",
                           "--print-config", env={"SEALGATE_GATEWAY_IDLE_TIMEOUT": "21s",
                                                  "SEALGATE_GATEWAY_HEAD_TIMEOUT": "22s"})
        for line in ("idle_timeout: 31s", "head_timeout: 22s", "body_timeout: 13s"):
            assert f"\n{line}\n" in out, line


@test("unknown, repeated and wrong settings are refused with file and line")
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "s.yaml"
        for text, line, word in (("# x\n\nlissten: a\n", 3, "lissten"),
                                 ("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n", 2, "listen"),
                                 ("body_max: lots\n", 1, "body_max"), ("a: [\n", 2, ""),
                                 ("log_level: loud\n", 1, "log_level")):
            path.write_text(text)
            for program in PROGRAMS:
                status, out = run(program, f"--config={path}")
                assert status != 0 and f"s.yaml:{line}" in out and word in out, (program, out)
    for program in PROGRAMS:
        for argument in ("--no-such-thing=1", "stray", "--body-max=-1", "--body-max"):
            status, out = run(program, argument)
            assert status != 0 and out.startswith(program), (program, argument, out)


@test("programs that cannot start say why in one line")
def _():
    with Stack() as s:
        empty, wrong = s.write("empty", ""), s.write("wrong", "no digest\n")
        for program, arguments, word in (
                ("sealgate-gateway", flags({"listen": f"127.0.0.1:{s.ports[0]}", "policy": "simulated",
                                            "receipts": ":memory:"}), "is in use"),
                ("sealgate-gateway", flags({"listen": f"127.0.0.1:{s.port}", "policy": "simulated",
                                            "receipts": ":memory:"}), f"{s.port}: is in use"),
                ("sealgate-gateway", flags({"listen": f"127.0.0.1:{s.port}", "mode": "relay"}),
                 f"{s.port}: is in use"),
                ("sealgate-worker", flags({"listen": f"127.0.0.1:{s.ports[0]}",
                                           "platform": "simulated"}), "is in use"),
                ("sealgate-gateway", [], "sealgate-gateway: policy: is not set"),
                ("sealgate-gateway", flags({"policy": "/nowhere/a"}), "/nowhere/a: cannot be read: there is no such file (policy)"),
                ("sealgate-gateway", flags({"policy": "simulated", "tokens_file": "/nowhere/a"}),
                 "/nowhere/a: cannot be read: there is no such file (tokens_file)"),
                ("sealgate-gateway", flags({"policy": "simulated", "listen": "127.0.0.1:0",
                                            "receipts": "/nowhere/receipts"}), "/nowhere/receipts"),
                ("sealgate-worker", flags({"engine": "ftp://x"}), "engine"),
                ("sealgate-worker", flags({"manifest": "/nowhere/a"}),
                 "/nowhere/a: cannot be read: there is no such file (manifest)"),
                ("sealgate-gateway", flags({"policy": "simulated", "worker_token_file": "/nowhere/a"}),
                 "/nowhere/a: cannot be read: there is no such file (worker_token_file)"),
                ("sealgate-gateway", flags({"policy": "simulated", "worker_ca": "/nowhere/a"}),
                 "/nowhere/a: cannot be read: there is no such file (worker_ca)"),
                ("sealgate-gateway", flags({"mode": "relay", "tls_cert": empty, "tls_key": "/nowhere/a",
                                            "listen_h2": "tls://127.0.0.1:0"}),
                 "/nowhere/a: cannot be read: there is no such file (tls_key)"),
                ("sealgate-worker", flags({"listen": "tls://127.0.0.1:0", "platform": "simulated",
                                           "tls_cert": empty, "tls_key": empty}), "tls_cert: is no chain"),
                ("sealgate-worker", flags({"manifest": empty}), f"{empty}: the manifest is not"),
                ("sealgate-worker", flags({"listen": "127.0.0.1:0", "platform": "simulated",
                                           "tokens_file": wrong}), f"{wrong}:1: not a token"),
                ("sealgate-worker", flags({"engines": "/nowhere/a", "platform": "simulated"}),
                 "/nowhere/a: cannot be read: there is no such file (engines)")):
            status, out = run(program, *arguments)
            last = out.strip().splitlines()[-1]
            assert status == 1 and word in last and last.startswith(program), (program, out)


def found_here():
    """Of each platform: absent, unusable or ready on this machine."""
    _status, out = run("sealgate", "detect", "--json")
    return {p["platform"]: p["state"] for p in json.loads(out)["platforms"]}


@test("a worker that finds no TEE does not start, says what it looked for, and falls back on nothing")
def _():
    found = found_here()
    if "ready" in found.values():
        raise Skip("this machine is a TEE")
    for arguments in ([], ["--platform", "auto"]):
        status, out = run("sealgate-worker", "--listen", "127.0.0.1:0", *arguments)
        assert status == 1 and out.startswith("sealgate-worker: platform: "), out
        assert "Intel TDX" in out and "AMD SEV-SNP" in out and "AWS Nitro Enclave" in out, out
        assert "platform: simulated" in out.strip().splitlines()[-1], out
    for name in (n for n, state in found.items() if state == "absent"):
        status, out = run("sealgate-worker", "--listen", "127.0.0.1:0", "--platform", name)
        assert status == 1 and name in out and "listening" not in out, (name, out)
    status, out = run("sealgate-worker", "--platform", "sgx")
    assert status == 1 and "sev-snp" in out and "nitro" in out, out


@test("sealgate up with a TEE asks for the policy that says what may run there")
def _():
    for name in ("tdx", "nitro"):
        status, out = run("sealgate", "up", "--platform", name)
        assert status == 2 and "--policy" in out, out


@test("SIGTERM lets a running stream finish, and ends the gateway cleanly")
def _():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Stack() as s:
            with s.conn() as c:
                a = c.ask("POST", "/v1/chat/completions", chat_body("gate-end", True))
                while len(a.events()) < 3:
                    c.chunk(a)
                s.gateway.signal(number)
                wait_for(lambda: refuses_new(s))
                assert s.gateway.alive()
                s.engine.release["end"] = True
                c.rest(a)
            assert a.complete and a.text() == TEXT
            assert s.gateway.wait() == 0


def refuses_new(s):
    try:
        return http(s.port, "GET", "/healthz", timeout=2).status == 503
    except (OSError, Broken):
        return True


@test("a stream that takes longer than the drain may take is broken off, not finished")
def _():
    with Stack(gateway={"drain_timeout": "500ms"}) as s:
        with s.conn() as c:
            a = c.ask("POST", "/v1/chat/completions", chat_body("endless-drain", True))
            while len(a.events()) < 3:
                c.chunk(a)
            s.gateway.signal(signal.SIGTERM)
            c.rest(a)
        assert not a.complete and "[DONE]" not in a.body.decode()
        assert s.gateway.wait() == 0
        wait_for(lambda: s.engine.of("endless-drain")[0].gone)


@test("SIGTERM with idle connections open ends the gateway at once")
def _():
    with Stack() as s:
        idle = [s.conn() for _ in range(20)]
        idle[0].get("GET", "/healthz")
        s.gateway.signal(signal.SIGTERM)
        assert s.gateway.wait(10) == 0
        for c in idle:
            c.close()


@test("sealgate verify fetches and verifies, then again offline; and refuses what is not so")
def _():
    with Stack() as s:
        body = json.dumps(chat_body("gpt-test", True)).encode()
        a = s.http("POST", "/v1/chat/completions", body)
        rid, url = a.header("x-receipt-id"), f"http://127.0.0.1:{s.port}"
        save = f"{s.folder}/saved.json"
        request = s.write("request", body.decode())
        response = pathlib.Path(s.folder) / "response"
        response.write_bytes(bytes(a.body))
        for name in (rid, a.header("x-request-id"), a.chunks()[0]["id"]):
            status, out = run("sealgate", "verify", "--gateway", url, "--policy", "simulated",
                              "--save", save, "--request", request, "--response", str(response),
                              "--sse", name)
            assert status == 0, (name, out)
        cbor = pathlib.Path(s.folder) / "r.cbor"
        cbor.write_bytes(bytes(s.http("GET", f"/v1/receipts/{rid}",
                                      headers=[("accept", "application/eat+cwt")]).body))
        other = s.http("GET", chat(s.port, "gpt-test").header("x-receipt-url")).json
        s.gateway.stop()
        status, out = run("sealgate", "verify", "--policy", "simulated", save)
        assert status == 0 and '\n  model     "gpt-test"\n' in out, out
        status, out = run("sealgate", "verify", "--json", "--policy", "simulated", save)
        assert status == 0 and json.loads(out), out
        refusals = (("--request", str(response)), ("--response", request), ("--model", "other"),
                    ("--nonce", "AAAAAAAAAAAAAAAA"), ("--production",), ("--key", "00" * 32))
        for more in refusals:
            status, out = run("sealgate", "verify", "--policy", "simulated", *more, save)
            assert status == 1, (more, out)
        status, out = run("sealgate", "verify", "--key", other["signing_key"], str(cbor))
        assert status == 0, out
        broken = pathlib.Path(s.folder) / "broken.cbor"
        data = bytearray(cbor.read_bytes())
        data[-1] ^= 1
        broken.write_bytes(bytes(data))
        status, out = run("sealgate", "verify", "--key", other["signing_key"], str(broken))
        assert status == 1, out
        status, out = run("sealgate", "verify", "--policy", "simulated", f"{s.folder}/not-there")
        assert status == 2 and "no such file" in out, out
        status, out = run("sealgate", "verify", request)
        assert status == 2 and "neither a receipt nor" in out, out
        status, out = run("sealgate", "verify", "/etc/passwd")
        assert status == 2 and "not a receipt" in out, out
        status, out = run("sealgate", "verify", "--gateway", url, rid)
        assert status == 2, out
        response.write_bytes(b"")
        pathlib.Path(request).write_text("")


@test("sealgate attest judges a worker by the policy")
def _():
    with Stack() as s:
        address = f"127.0.0.1:{s.ports[0]}"
        status, out = run("sealgate", "attest", "--policy", "simulated", address)
        assert status == 0, out
        status, out = run("sealgate", "attest", address)
        assert status == 1, out
        policy = s.write("p.yaml", "platforms: [simulated]\nmeasurements:\n  pcr0: [" + "ab" * 48 + "]\n")
        status, out = run("sealgate", "attest", "--policy", policy, address)
        assert status == 1, out
        status, out = run("sealgate", "attest", "--policy", "simulated", "127.0.0.1:9")
        assert status == 2, out


@test("sealgate chat prints an answer as it comes, and its receipt")
def _():
    with Stack() as s:
        url = f"http://127.0.0.1:{s.port}"
        status, out = run("sealgate", "chat", "--gateway", url, "--model", "gpt-test", PROMPT_CANARY)
        assert status == 0 and TEXT in out and f"sealgate verify --gateway {url} " in out, out
        named = out.split(f"sealgate verify --gateway {url} ")[1].split()[0]
        status, out = run("sealgate", "verify", "--policy", "simulated", "--gateway", url, named)
        assert status == 0, out
        status, out = run("sealgate", "chat", "--gateway", url, "--model", "cut-4", "x")
        assert status == 2 and "\nsealgate: the answer broke off: " in out, out
        status, out = run("sealgate", "chat", "--gateway", url, "--model", "err-404", "x")
        assert status == 2 and out.startswith("sealgate: ") and len(out.splitlines()) == 1, out
        status, out = run("sealgate", "chat", "--gateway", f"http://127.0.0.1:{s.ports[0]}", "x")
        assert status == 2 and "does a gateway listen there?" in out, out


@test("sealgate up serves the demo engine, and ends its programs with it")
def _():
    up(engine=None)


@test("sealgate up serves somebody's engine")
def _():
    from engine import Engine
    engine = Engine()
    try:
        up(engine)
    finally:
        engine.close()


def up(engine):
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"listen": f"127.0.0.1:{port}", "state": f"{folder}/state", "demo_pace": "1ms"}
        if engine is not None:
            settings["engine"] = engine.url
        program = Program("sealgate", ["up", *flags(settings)], folder)
        try:
            wait_for(lambda: not program.alive() or is_open(port) and
                     http(port, "GET", "/readyz").status == 200)
            program.check()
            assert "simulated" in program.log.lower(), program.log
            a = chat(port, "demo", True)
            assert a.complete and a.events()[-1] == "[DONE]" and a.text(), a.body
            assert engine is None or a.text() == TEXT
            status, out = run("sealgate", "verify", "--policy", "simulated", "--gateway",
                              f"http://127.0.0.1:{port}", a.header("x-receipt-id"))
            assert status == 0, out
            children = children_of(program.pid)
            assert len(children) == 2, children
        finally:
            program.stop()
        wait_for(lambda: not any(os.path.exists(f"/proc/{p}") for p in children))


@test("sealgate up says what is wrong with where it is to listen or to keep receipts")
def _():
    with Stack() as s:
        long = f"{s.folder}/{'x' * 110}"
        there = s.write("file", "")
        free = f"127.0.0.1:{free_port()}"
        for listen, state, word in ((f"127.0.0.1:{s.port}", s.folder, "is in use"),
                                    ("nonsense", s.folder, "HOST:PORT"),
                                    ("127.0.0.1:0", s.folder, "HOST:PORT"),
                                    (free, long, "too long"), (free, there, "Not a directory")):
            status, out = run("sealgate", "up", "--listen", listen, "--state", state)
            assert status == 2 and word in out and len(out.splitlines()) == 1, (listen, state, out)


@test("sealgate up takes a folder by its relative name, and any address of this machine")
def _():
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        program = Program("sealgate", ["up", "--listen", f"*:{port}", "--state", "state"], folder)
        try:
            wait_for(lambda: not program.alive() or "Ctrl-C" in program.log)
            program.check()
            assert f"base_url  http://127.0.0.1:{port}/v1 " in program.log, program.log
            assert f"{os.path.realpath(folder)}/state/receipts.db" in program.log, program.log
        finally:
            program.stop()


@test("when one of its programs dies, sealgate up ends the other and itself")
def _():
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        program = Program("sealgate", ["up", *flags({"listen": f"127.0.0.1:{port}",
                                                     "state": f"{folder}/state"})], folder)
        wait_for(lambda: not program.alive() or is_open(port) and
                 http(port, "GET", "/readyz").status == 200)
        program.check()
        children = children_of(program.pid)
        os.kill(children[0], signal.SIGKILL)
        assert program.wait() != 0
        wait_for(lambda: not any(os.path.exists(f"/proc/{p}") for p in children))


def children_of(pid):
    out = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            if int(stat.rsplit(")", 1)[1].split()[1]) == pid:
                out.append(int(entry))
    return out


@test("a worker that floods are thrown at stays usable for others")
def _():
    import socket
    from proxy import PREFACE
    with Stack() as s:
        settings = b"\0\0\0\x04\0\0\0\0\0"
        ping = b"\0\0\x08\x06\0\0\0\0\0" + b"12345678"
        reset = b"\0\0\x04\x03\0\0\0\0\x01" + b"\0\0\0\x08"
        head = b"\0\0\x05\x01\x04\0\0\0%c\x83\x84\x86\x41\x00"
        for flood in (settings * 20000, ping * 20000, PREFACE * 100, b"\xff" * 100000,
                      b"".join(head % (i * 2 + 1 & 0x7f) + reset for i in range(2000))):
            with socket.create_connection(("127.0.0.1", s.ports[0]), 5) as c:
                try:
                    c.sendall(PREFACE + settings + flood)
                    c.settimeout(0.2)
                    while c.recv(65536):
                        pass
                except OSError:
                    pass
            assert chat(s.port, "gpt-test").status == 200


