"""What is installed: Debian packages and services, manifests, and enclaves that have no network"""
import functools
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import installs
from client import chat, wait_for
from stack import Options, Program, Stack, flags, free_port
from suite import Skip, count_lines, say, test
from test_http import certificate

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNITS = ("sealgate-gateway", "sealgate-relay", "sealgate-worker")
EXPOSURE_MAX = 2.0  # of 10, as `systemd-analyze security` counts
RULES = ("NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes", "MemoryDenyWriteExecute=yes",
         "CapabilityBoundingSet=", "LimitCORE=0", "Restart=on-failure", "SystemCallArchitectures=native",
         "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_VSOCK")


def needs(*programs):
    if os.geteuid() != 0:
        raise Skip("needs root")
    if Options.patience > 1:
        raise Skip("a build with sanitizers is not for packages")
    for name in programs:
        if shutil.which(name) is None:
            raise Skip(f"there is no {name} here")


def out_of(*command, **more):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=120, **more)
    return done.returncode, done.stdout.decode(errors="replace")


def must(*command, **more):
    code, text = out_of(*command, **more)
    assert code == 0, f"{' '.join(command)}: {code}\n{text[-4000:]}"
    return text


class Copy:
    """This machine's files under a layer of our own, with a network of its own: what is installed
    here is gone afterwards, and ports are nobody else's."""

    LAYERS = """set -e
mount -t tmpfs -o mode=755 tmpfs {at}
mkdir {at}/upper {at}/work {at}/files
mount -t overlay -o lowerdir=/,upperdir={at}/upper,workdir={at}/work overlay {at}/files
mount --rbind /dev {at}/files/dev
mount -t tmpfs -o mode=1777 tmpfs {at}/files/tmp
mount -t proc proc {at}/files/proc
ip link set lo up
echo ready
exec sleep 600"""

    def __init__(self):
        self.at = tempfile.mkdtemp(prefix="sealgate-copy-")
        self.root = pathlib.Path(self.at) / "files"
        self.keeper = subprocess.Popen(
            ["unshare", "--mount", "--net", "sh", "-c", self.LAYERS.format(at=self.at)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.programs = []
        said = self.keeper.stdout.readline().decode().strip()
        if said != "ready":
            self.close()
            raise Skip(f"no layer can be laid over this machine's files: {said}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for p in self.programs:
            p.kill()
            p.wait()
        self.keeper.kill()
        self.keeper.wait()
        shutil.rmtree(self.at, ignore_errors=True)

    def within(self, *command):
        return ["nsenter", f"--target={self.keeper.pid}", "--mount", "--net", *command]

    def out_of(self, *command):
        return out_of(*self.within("chroot", str(self.root), *command))

    def must(self, *command):
        return must(*self.within("chroot", str(self.root), *command))

    def put(self, path, data):
        subprocess.run(self.within("tee", str(self.root / path)), check=True,
                       input=data if isinstance(data, bytes) else data.encode(),
                       stdout=subprocess.DEVNULL)

    def service(self, name, **env):
        """The unit's program: its user, its filter, nothing writable but its state."""
        state = f"{self.root}/var/lib/{name}"
        shell = (f"mount --bind {state} {state} && mount -o remount,bind,ro {self.root} && "
                 f"exec chroot {self.root} /usr/bin/python3 /tmp/confine.py "
                 f"/usr/lib/systemd/system/{name}.service")
        log = open(f"{self.at}/{name}.log", "ab")
        p = subprocess.Popen(self.within("unshare", "--mount", "sh", "-c", shell),
                             stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                             env={**os.environ, **env})
        self.programs.append(p)
        p.log = lambda: pathlib.Path(log.name).read_text(errors="replace")
        return p


@functools.cache
def packages():
    """Built once: the bytes of each package."""
    with tempfile.TemporaryDirectory() as folder:
        must(str(ROOT / "deploy/package"), "--build", str(Options.build), "--out", folder)
        found = {p.name.split("_")[0]: p.read_bytes() for p in pathlib.Path(folder).glob("*.deb")}
    assert set(found) == {"sealgate-gateway", "sealgate-worker", "sealgate"}, set(found)
    return found


def installed(copy):
    for name, data in packages().items():
        copy.put(f"tmp/{name}.deb", data)
    copy.put("tmp/confine.py", (ROOT / "tests/e2e/confine.py").read_bytes())
    copy.must("sh", "-c", "dpkg -i /tmp/*.deb")


def page(copy, url):
    code, text = copy.out_of("curl", "-s", "-w", "\n%{http_code}", url)
    return (0, text) if code else (int(text.rsplit("\n", 1)[1]), text)


def running(p):
    assert p.poll() is None, f"ended with {p.returncode}\n{p.log()[-3000:]}"
    return True


@test("packages can be installed, upgraded with the operator's settings kept, removed with the data kept")
def _():
    needs("dpkg-deb", "dpkg-shlibdeps", "nsenter", "ip")
    with Copy() as copy:
        installed(copy)
        for user in ("sealgate-gateway", "sealgate-relay", "sealgate-worker"):
            assert "nologin" in copy.must("getent", "passwd", user)
            owner = copy.must("stat", "-c", "%U %a", f"/var/lib/{user}").split()
            assert owner == [user, "700"], owner
        copy.put("etc/sealgate/gateway.yaml", "listen: 127.0.0.1:1\n")
        copy.put("var/lib/sealgate-gateway/receipts.db", "kept")
        copy.must("sh", "-c", "dpkg -i /tmp/sealgate-gateway.deb")
        assert copy.must("cat", "/etc/sealgate/gateway.yaml") == "listen: 127.0.0.1:1\n"
        copy.must("dpkg", "--remove", "sealgate-gateway", "sealgate-worker", "sealgate")
        assert copy.must("cat", "/var/lib/sealgate-gateway/receipts.db") == "kept"
        assert copy.must("cat", "/etc/sealgate/gateway.yaml") == "listen: 127.0.0.1:1\n"
        assert copy.out_of("test", "-e", "/usr/bin/sealgate-gateway")[0] == 1
        copy.must("dpkg", "--purge", "sealgate-gateway")
        assert copy.out_of("test", "-e", "/var/lib/sealgate-gateway")[0] == 1
        assert copy.out_of("test", "-e", "/etc/sealgate/gateway.yaml")[0] == 1


@test("the services answer as they are packaged: own users, read-only files, filtered system calls")
def _():
    needs("dpkg-deb", "dpkg-shlibdeps", "nsenter", "ip", "curl", "systemd-analyze")
    if out_of("/usr/bin/python3", "-c", "import seccomp")[0] != 0:
        raise Skip("there is no python3-seccomp here")
    with Copy() as copy:
        installed(copy)
        alone = copy.service("sealgate-worker")
        assert alone.wait(30) == 1, alone.log()
        assert "simulated" in alone.log(), alone.log()
        worker = copy.service("sealgate-worker", SEALGATE_WORKER_PLATFORM="simulated",
                              SEALGATE_WORKER_ENGINE="demo")
        relay = copy.service("sealgate-relay")
        gateway = copy.service("sealgate-gateway", SEALGATE_GATEWAY_WORKERS="127.0.0.1:8086")
        wait_for(lambda: running(relay) and page(copy, "http://127.0.0.1:8085/readyz")[0] == 200)
        wait_for(lambda: running(gateway) and
                 page(copy, "http://127.0.0.1:8080/v1/attestation")[0] == 200)
        wait_for(lambda: "platform" in page(copy, "http://127.0.0.1:8080/v1/attestation")[1])
        assert page(copy, "http://127.0.0.1:8080/readyz")[0] == 503
        copy.put("etc/sealgate/policy.yaml", "platforms: [simulated]\nmeasurements: any\n")
        gateway.send_signal(signal.SIGHUP)
        wait_for(lambda: running(gateway) and page(copy, "http://127.0.0.1:8080/readyz")[0] == 200)
        said = copy.must("sealgate", "chat", "hello")
        assert "receipt: " in said, said
        assert copy.must("stat", "-c", "%U %a", "/var/lib/sealgate-gateway/receipts.db").split() == [
            "sealgate-gateway", "600"]
        for p in (gateway, relay, worker):
            running(p)
            p.terminate()
            assert p.wait(30) == 0, (p.returncode, p.log()[-2000:])


@test("the units hold, keep their hardening, and systemd finds little exposed")
def _():
    needs("systemd-analyze", "nsenter", "ip", "dpkg-shlibdeps")
    with Copy() as copy:
        installed(copy)
        for name in UNITS:
            unit = f"/usr/lib/systemd/system/{name}.service"
            text = copy.must("cat", unit)
            for rule in RULES:
                assert f"\n{rule}\n" in text, f"{name}: no {rule}"
            said = copy.must("systemd-analyze", "verify", "--man=no", unit)
            assert not said.strip(), said
            said = copy.must("systemd-analyze", "security", "--offline=true", unit)
            score = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)[1])
            say(f"     {name}: exposure {score} of 10, at most {EXPOSURE_MAX}")
            assert score <= EXPOSURE_MAX
        assert "DevicePolicy=closed" in text and "DeviceAllow=/dev/nsm rw" in text


MANIFESTS = ROOT / "deploy/kubernetes"
KUBERNETES = ("1.31", "1.37")


def manifests(folder):
    """What tests/e2e/manifests.py says; ConfigMaps are then in the folder."""
    try:
        python = installs.python_with("kubernetes-validate")
    except installs.Missing as why:
        raise Skip(str(why)) from why
    return must(str(python), str(ROOT / "tests/e2e/manifests.py"), str(MANIFESTS), folder, *KUBERNETES)


@test("Kubernetes manifests hold", 300)
def _():
    with tempfile.TemporaryDirectory() as folder:
        assert count_lines(manifests(folder), "deploy/kubernetes") == len(KUBERNETES) + 3
    return "counted"


@test("what the manifests' ConfigMaps hold is taken by the programs, which start with it", 300)
def _():
    with Stack(start_gateway=False) as s:
        said = manifests(s.folder)
        cert, key = certificate(s)
        tokens = s.write("tokens", "0" * 64 + " ann\n")
        own = {"listen": f"127.0.0.1:{s.port}", "receipts": ":memory:", "collateral": f"{s.folder}/c",
               "policy_state": f"{s.folder}/state"}
        tls = {"tls_cert": cert, "tls_key": key, "tokens_file": tokens}
        h2 = {"listen": own["listen"], "listen_h2": f"127.0.0.1:{free_port()}"}
        policy = {"policy": f"{s.folder}/sealgate-policy.policy.yaml"}
        beside = {"policy": f"{s.folder}/sealgate-sidecar.policy.yaml"}
        starts(s, "sealgate-worker", "sealgate-worker.worker.yaml",
               {"listen": own["listen"], "platform": "simulated", "engine": "demo"})
        starts(s, "sealgate-gateway", "sealgate-relay.relay.yaml", h2)
        starts(s, "sealgate-gateway", "sealgate-gateway.gateway.yaml", {**own, **tls, **policy})
        starts(s, "sealgate-gateway", "sealgate-sidecar.gateway.yaml", {**own, **beside})
        assert said


def starts(s, program, config, own):
    """own: the paths and ports that are this machine's."""
    p = Program(program, ["--config", f"{s.folder}/{config}", *flags(own)], s.folder)
    wait_for(lambda: '"event":"ready"' in p.log or not p.alive())
    p.stop()


def loopback_vsock():
    """A port of the address 1, this machine itself; kernels without vsock_loopback have none."""
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as s:
        s.bind((1, socket.VMADDR_PORT_ANY))
        return s.getsockname()[1]


@test("a worker in an enclave is reached over vsock, as over any other socket")
def _():
    try:
        port = loopback_vsock()
    except OSError as why:
        raise Skip(f"this kernel has no vsock_loopback: {why}; over a unix socket it is tried") from why
    with Stack(start_gateway=False) as s:
        s.workers[0].stop()
        s.workers[0] = Program("sealgate-worker", flags({**s.worker_settings, "name": "enclave",
                                                         "listen": f"vsock:*:{port}"}), s.folder)
        s.gateway_settings["workers"] = [f"vsock:1:{port}"]
        s.start_gateway()
        s.wait_ready()
        assert chat(s.port, "words-20-5", True).complete


@test("a policy in a ConfigMap, which changes by a link, is taken without a restart")
def _():
    with Stack(start_gateway=False) as s:
        folder = pathlib.Path(s.folder) / "policy"
        for name, text in (("..one", "platforms: [simulated]\nmeasurements: any\n"),
                           ("..two", (MANIFESTS.parent / "debian/policy.yaml").read_text())):
            (folder / name).mkdir(parents=True)
            (folder / name / "policy.yaml").write_text(text)
        (folder / "..data").symlink_to("..one")
        (folder / "policy.yaml").symlink_to("..data/policy.yaml")
        s.gateway_settings["policy"] = str(folder / "policy.yaml")
        s.start_gateway()
        s.wait_ready()
        (folder / "..new").symlink_to("..two")
        (folder / "..new").rename(folder / "..data")
        wait_for(lambda: s.http("GET", "/readyz").status == 503)


def readme_settings():
    """What deploy/README.md does to settings: (file, text) after each of its commands."""
    text = (ROOT / "deploy/README.md").read_text()
    for edit, name in re.findall(r"^    sed -i ('.*') /etc/sealgate/(\w+\.yaml)$", text, re.M):
        yield name, must("sh", "-c", f"sed {edit} {ROOT}/deploy/debian/{name}")
    for name, body in re.findall(r"^    cat > (?:/etc/sealgate/)?(\w+\.yaml) <<TEXT\n(.*?)^    TEXT$",
                                 text, re.M | re.S):
        yield name, re.sub("^    ", "", body, flags=re.M).replace("DIGEST", "1f" * 32)
    for line in re.findall(r"^    (nvidia: .*)$", text, re.M):
        yield "policy.yaml", f"platforms: [tdx]\nmeasurements: {{mrtd: [{'1f' * 48}]}}\n{line}\n"


@test("the settings and policies that deploy/README.md makes are taken by the programs")
def _():
    with tempfile.TemporaryDirectory() as folder:
        seen = []
        for name, text in readme_settings():
            path = pathlib.Path(folder) / name
            path.write_text(text)
            if name == "policy.yaml":
                must(str(Options.build / "sealgate"), "policy", "check", str(path))
            else:
                program = "sealgate-worker" if name == "worker.yaml" else "sealgate-gateway"
                must(str(Options.build / program), "--config", str(path), "--print-config")
            seen.append(name)
        assert sorted(seen) == ["gateway.yaml", "policy.yaml", "policy.yaml", "relay.yaml",
                                "worker.yaml"], seen
