"""Secrets that only one TEE can open: sealgate seal and unseal"""
import contextlib
import hashlib
import os
import pathlib
import socket
import subprocess
import tempfile
import threading

from client import chat
from stack import Options, Stack, run
from suite import test

SECRET = b"sk-a-token \x00\xff"


def sealgate(command, *flags, stdin=b""):
    """(status, standard output, standard error)"""
    done = subprocess.run([str(Options.build / "sealgate"), command, *flags], input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          timeout=30 * Options.patience)
    return done.returncode, done.stdout, done.stderr.decode()


@contextlib.contextmanager
def key_file(content=bytes(range(32)), mode=0o600):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "key"
        path.touch(mode=mode)
        path.write_bytes(content)
        os.chmod(path, mode)
        yield path


def simulated(path, key_id="engine-token"):
    return ("--platform=simulated", f"--key-file={path}", f"--key-id={key_id}")


@test("a sealed secret opens again, by standard streams and by files, and says that it is simulated")
def _():
    with key_file() as key:
        status, sealed, said = sealgate("seal", *simulated(key), stdin=SECRET)
        assert status == 0 and len(sealed) == len(SECRET) + 28 and SECRET not in sealed
        assert "SIMULATED: NO PROTECTION" in said
        status, opened, said = sealgate("unseal", *simulated(key), stdin=sealed)
        assert (status, opened) == (0, SECRET) and "SIMULATED: NO PROTECTION" in said
        kept, plain = key.with_name("sealed"), key.with_name("plain")
        plain.write_bytes(SECRET)
        status, out, _said = sealgate("seal", *simulated(key), f"--in={plain}", f"--out={kept}")
        assert (status, out) == (0, b"") and kept.read_bytes() != sealed
        back = key.with_name("back")
        status, out, _said = sealgate("unseal", *simulated(key), f"--in={kept}", f"--out={back}")
        assert (status, out, back.read_bytes()) == (0, b"", SECRET)
        assert back.stat().st_mode & 0o777 == 0o600


@test("another key id, another key, a flipped bit and a cut are refused alike, and nothing comes out")
def _():
    with key_file() as key, key_file(bytes(range(1, 33))) as other:
        _status, sealed, _said = sealgate("seal", *simulated(key), stdin=SECRET)
        answers = {sealgate("unseal", *simulated(key, "engine-token2"), stdin=sealed),
                   sealgate("unseal", *simulated(other), stdin=sealed),
                   sealgate("unseal", *simulated(key), stdin=sealed[:-1]),
                   sealgate("unseal", *simulated(key), stdin=b"")}
        for at in (0, 11, 12, len(sealed) - 1):
            changed = bytearray(sealed)
            changed[at] ^= 1
            answers.add(sealgate("unseal", *simulated(key), stdin=bytes(changed)))
        assert len(answers) == 1, answers
        status, out, said = answers.pop()
        assert (status, out) == (1, b"") and "refused" in said, said


@test("what cannot be a key is refused before anything is read")
def _():
    with key_file() as key, key_file(mode=0o644) as shared, key_file(b"short") as short:
        for flags in (simulated(shared), simulated(short), simulated(key, "no name"),
                      simulated(key.with_name("absent")), simulated(key)[:2],
                      ("--platform=tdx", "--key-id=k"), ("--platform=tdx", "--key-id=k",
                                                         f"--key-file={key}"),
                      ("--platform=nitro", "--key-id=k", f"--key-service={key}")):
            status, out, said = sealgate("seal", *flags, stdin=SECRET)
            assert (status, out) == (2, b"") and said.startswith("sealgate: "), (flags, said)


@test("a secret may be 64 KiB and not a byte more")
def _():
    with key_file() as key:
        most = os.urandom(64 * 1024)
        status, sealed, _said = sealgate("seal", *simulated(key), stdin=most)
        assert status == 0
        assert sealgate("unseal", *simulated(key), stdin=sealed)[:2] == (0, most)
        for command, much in (("seal", most + b"x"), ("unseal", sealed + b"x"),
                              ("seal", 3 * most), ("unseal", 3 * sealed)):
            path = key.with_name("much")
            path.write_bytes(much)
            for where, stdin in (((f"--in={path}",), b""), ((), much)):
                status, out, said = sealgate(command, *simulated(key), *where, stdin=stdin)
                assert (status, out) == (2, b"") and "longer" in said, (command, said)


@contextlib.contextmanager
def key_service(answer):
    """Answers every question with these bytes; yields its path and the list of questions."""
    questions = []
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        path = f"{folder}/keys"
        listening.bind(path)
        listening.listen()

        def serve():
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                with client, client.makefile("rb") as lines:
                    questions.append(lines.readline())
                    client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path, questions
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@test("a key service gives the key where the platform has none, and only that platform's opens it")
def _():
    with key_service(os.urandom(32)) as (path, questions):
        def flags(platform):
            return f"--platform={platform}", f"--key-service={path}", "--key-id=k"
        status, sealed, said = sealgate("seal", *flags("tdx"), stdin=SECRET)
        assert (status, said) == (0, ""), said
        assert sealgate("unseal", *flags("tdx"), stdin=sealed)[:2] == (0, SECRET)
        assert sealgate("unseal", *flags("nitro"), stdin=sealed)[:2] == (1, b"")
        assert questions == [b"sealgate-key 1 tdx k\n"] * 2 + [b"sealgate-key 1 nitro k\n"]
    for answer in (b"", bytes(31), os.urandom(33), bytes(32)):
        with key_service(answer) as (path, _questions):
            status, out, said = sealgate("seal", *flags("tdx"), stdin=SECRET)
            assert (status, out) == (2, b"") and "no key" in said, (answer, said)


def sealed_file(folder, name, key, key_id, text):
    path = folder / name
    status, sealed, said = sealgate("seal", *simulated(key, key_id), stdin=text.encode())
    assert status == 0, said
    path.write_bytes(sealed)
    return str(path)


@test("a worker opens its sealed tokens at start, and uses them like plain ones")
def _():
    with key_file() as key, Stack(start_gateway=False) as s:
        s.workers[0].stop()
        token = "worker-token-1"
        listed = hashlib.sha256(token.encode()).hexdigest() + " gw\n"
        s.workers[0] = s.start_worker(
            0, secrets="sealed", secrets_key_id="w0", secrets_key_file=str(key),
            tokens_file=sealed_file(key.parent, "tokens", key, "w0", listed),
            engine_token_file=sealed_file(key.parent, "engine", key, "w0", "engine-token-2\n"))
        s.gateway_settings["worker_token_file"] = s.write("g", token + "\n")
        s.start_gateway()
        s.wait_ready()
        assert chat(s.port, "plain-sealed").status == 200
        assert s.engine.of("plain-sealed")[0].headers["authorization"] == "Bearer engine-token-2"
        assert "engine-token-2" not in s.workers[0].log


@test("a worker does not start with secrets that were not sealed to it")
def _():
    with key_file() as key:
        base = ("--platform=simulated", "--listen=127.0.0.1:0", "--secrets=sealed",
                f"--secrets-key-file={key}")
        other_id = sealed_file(key.parent, "other", key, "other", "engine-token-2\n")
        plain = key.with_name("plain")
        plain.write_text("engine-token-2\n")
        for path in (other_id, plain):
            status, out = run("sealgate-worker", *base, f"--engine-token-file={path}")
            assert status == 1 and str(path) in out and "not sealed to this TEE" in out, out
            assert "engine-token-2" not in out
        status, out = run("sealgate-worker", *base[:3], f"--engine-token-file={plain}")
        assert status == 1 and "key file" in out, out
