"""Containers: images with nothing but the programs, and the fleet of deploy/container/compose.yaml"""
import contextlib
import fcntl
import functools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import installs
from client import wait_for
from suite import Skip, test
from test_deploy import ROOT, must, needs, out_of, packages

BASE = "localhost/sealgate-base:bookworm"
SYSTEM_BASE = "localhost/sealgate-systemd:bookworm"
TARGETS = ("gateway", "worker")
CONF = """[containers]
default_ulimits = ["nofile=8192:8192", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "{at}/networks"
"""
STORAGE = """[storage]
driver = "overlay"
graphroot = "{store}"
runroot = "{at}/run"
"""
ASK = ["curl", "-s", "-m", "20", "-D", "-", "http://127.0.0.1:8080/v1/chat/completions", "-H",
       "content-type: application/json", "-d",
       '{"model":"demo","messages":[{"role":"user","content":"hi"}]}']


def bootstrap(folder):
    """A bare Debian, as a stand-in for the image of that name."""
    return installs.attempt(["debootstrap", "--variant=minbase", "--include=ca-certificates",
                             "bookworm", str(folder / "files")], folder, 300)


class Podman:
    """With a store and networks of its own: nothing of this machine's is touched."""
    made = []

    def __init__(self):
        needs("podman", "runc", "debootstrap", "unshare", "nsenter", "ip", "curl")
        if not pathlib.Path("/usr/lib/podman/netavark").exists():
            raise Skip("there is no netavark here")
        self.at = pathlib.Path(tempfile.mkdtemp(prefix="sealgate-podman-"))
        self.store = installs.CACHE / "podman-store"
        self.store.mkdir(parents=True, exist_ok=True)
        # One run at a time: what is in the store, and running there, belongs to it alone.
        self.lock = open(f"{self.store}.lock", "wb")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        (self.at / "containers.conf").write_text(CONF.format(at=self.at))
        (self.at / "storage.conf").write_text(STORAGE.format(at=self.at, store=self.store))
        self.env = {**os.environ, "CONTAINERS_CONF": str(self.at / "containers.conf"),
                    "CONTAINERS_STORAGE_CONF": str(self.at / "storage.conf")}
        self.keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && echo ready && exec sleep 900"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.keeper.stdout.readline()

    def must(self, *command):
        return must("podman", *command, env=self.env)

    def within(self, *command):
        """In a network of our own: what is published there is published to nobody. What podman leaves
        running keeps its output open, so that it goes to a file."""
        log = self.at / "log"
        with open(log, "wb") as out:
            code = subprocess.run(["nsenter", f"--target={self.keeper.pid}", "--net", *command],
                                  stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False,
                                  timeout=120, env=self.env).returncode
        return code, log.read_text(errors="replace")

    def forget(self):
        """All images but those that every run begins with."""
        out_of("podman", "umount", "--all", env=self.env)
        kept = {out_of("podman", "image", "inspect", "-f", "{{.Id}}", n, env=self.env)[1].strip()
                for n in (BASE, SYSTEM_BASE)}
        every = out_of("podman", "images", "--all", "-q", "--no-trunc", env=self.env)[1].split()
        rest = {i.removeprefix("sha256:") for i in every} - kept
        out_of("podman", "rmi", "--force", *rest, env=self.env)

    def close(self):
        self.within("podman", "rm", "--all", "--force", "--time", "5")
        self.within("podman", "volume", "prune", "--force")
        self.keeper.kill()
        self.keeper.wait()
        self.forget()
        self.lock.close()
        shutil.rmtree(self.at, ignore_errors=True)


@functools.cache
def podman():
    """With both images; the same for all tests."""
    p = Podman()
    Podman.made.append(p)
    built(p)
    return p


def finish():
    for p in Podman.made:
        p.close()


def base(p):
    if out_of("podman", "image", "exists", BASE, env=p.env)[0] == 0:
        return
    try:
        folder = installs.installed("debootstrap bookworm", bootstrap) / "files"
    except installs.Missing as why:
        raise Skip(str(why)) from why
    with subprocess.Popen(["tar", "-C", str(folder), "-c", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run(["podman", "import", "-q", "-", BASE], stdin=tar.stdout, env=p.env, check=True,
                       stdout=subprocess.DEVNULL)


def context(folder):
    """The packages of this build, and a tree with what the build of the image wants besides."""
    (folder / "packages").mkdir()
    for name, data in packages().items():
        (folder / "packages" / f"{name}.deb").write_bytes(data)
    shutil.copytree(ROOT / "deploy/container", folder / "tree/deploy/container")


def built(p):
    base(p)
    folder = p.at
    context(folder)
    for target in TARGETS:
        code, text = out_of("podman", "build", "-q", "--isolation=chroot", "--network=host", "--layers",
                            "--build-arg", f"BASE={BASE}", "--build-context",
                            f"packages={folder}/packages", "--target", target, "-t",
                            f"sealgate-{target}:0.1.0", "-f",
                            f"{folder}/tree/deploy/container/Containerfile", f"{folder}/tree",
                            env=p.env)
        if code != 0 and "apt-get" in text and "install" in text:
            raise Skip(f"Debian's packages are out of reach of a build: {text[-300:]}")
        assert code == 0, text[-3000:]


BOOTS = """FROM {base}
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \\
    --no-install-recommends systemd systemd-sysv dbus curl > /dev/null
"""
SYSTEM = """FROM {base}
COPY packages /packages
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \\
    --no-install-recommends /packages/*.deb > /dev/null
CMD ["/sbin/init"]
"""
TRIAL = "[Service]\nEnvironment=SEALGATE_WORKER_PLATFORM=simulated SEALGATE_WORKER_ENGINE=demo\n"
SERVICES = ["sealgate-worker", "sealgate-relay", "sealgate-gateway"]


class System:
    """A Debian that has booted, with our packages installed."""

    def __init__(self, p):
        self.p = p
        if out_of("podman", "image", "exists", SYSTEM_BASE, env=p.env)[0] != 0:
            self.build(BOOTS.format(base=BASE), SYSTEM_BASE)
        self.build(SYSTEM.format(base=SYSTEM_BASE), "sealgate-system")
        code, text = p.within("podman", "run", "-d", "--name=system", "--privileged",
                              "--systemd=always", "--network=none", "sealgate-system")
        if code != 0:
            raise Skip(f"no system boots in a container here: {text[-300:]}")
        wait_for(lambda: self.run("systemctl", "is-system-running")[1].strip() in
                 ("running", "degraded"))

    def close(self):
        self.p.within("podman", "rm", "--force", "--time", "5", "system")

    def build(self, text, name):
        (self.p.at / "Containerfile").write_text(text)
        self.p.must("build", "-q", "--isolation=chroot", "--network=host", "-t", name, "-f",
                    str(self.p.at / "Containerfile"), str(self.p.at))

    def run(self, *command):
        return self.p.within("podman", "exec", "system", *command)

    def must(self, *command):
        code, text = self.run(*command)
        assert code == 0, f"{command}: {text}\n{self.run('journalctl', '--no-pager', '-n', '40')[1]}"
        return text.strip()

    def write(self, path, text):
        (self.p.at / "file").write_text(text)
        self.must("mkdir", "-p", str(pathlib.PurePath(path).parent))
        self.p.must("cp", str(self.p.at / "file"), f"system:{path}")

    def pids(self):
        return [self.must("systemctl", "show", "-p", "MainPID", "--value", s) for s in SERVICES]

    def answers(self):
        return self.run("curl", "-sf", "-m", "5", "http://127.0.0.1:8080/readyz")[0] == 0


@test("systemd starts the packages' services, reloads them, and restarts them when they are upgraded", 300)
def _():
    with contextlib.closing(System(podman())) as system:
        assert system.run("systemctl", "is-enabled", "sealgate-gateway")[1].strip() == "disabled"
        system.write("/etc/systemd/system/sealgate-worker.service.d/trial.conf", TRIAL)
        system.write("/etc/sealgate/policy.yaml", "platforms: [simulated]\nmeasurements: any\n")
        system.must("sed", "-i", "s/8443/8086/", "/etc/sealgate/gateway.yaml")
        system.must("systemctl", "daemon-reload")
        system.must("systemctl", "enable", "--now", *SERVICES)
        wait_for(system.answers)
        assert "receipt: " in system.must("sealgate", "chat", "hello")
        before = system.pids()
        system.must("systemctl", "reload", "sealgate-gateway")
        wait_for(lambda: "policy unchanged" in system.must("journalctl", "-u", "sealgate-gateway"))
        system.must("sh", "-c", "dpkg -i /packages/*.deb")
        after = system.pids()
        assert "0" not in after and not set(before) & set(after), (before, after)
        wait_for(system.answers)
        system.must("systemctl", "stop", *SERVICES)
        for s in SERVICES:
            assert system.must("systemctl", "show", "-p", "Result", "--value", s) == "success"


def files_of(p, target):
    at = p.must("image", "mount", f"sealgate-{target}:0.1.0").strip()
    return pathlib.Path(at), [f for f in pathlib.Path(at).rglob("*") if f.is_file()]


@test("an image has one program, its libraries and certificates: no shell, nothing set-user-id, not root", 300)
def _():
    p = podman()
    for target in TARGETS:
        at, files = files_of(p, target)
        rest = [f for f in files if ".so" not in f.name]
        assert {str(f.relative_to(at)) for f in rest} == {
            f"usr/bin/sealgate-{target}", "etc/ssl/certs/ca-certificates.crt", "etc/passwd",
            "etc/group", "etc/nsswitch.conf"}, rest
        assert not [f for f in files if f.stat().st_mode & 0o6000]
        config = json.loads(p.must("image", "inspect", f"sealgate-{target}:0.1.0"))[0]
        assert config["User"] == "65532:65532", config["User"]
        assert config["Size"] < 40 << 20, config["Size"]


def answered(p):
    code, text = p.within(*ASK)
    return code == 0 and text.startswith("HTTP/1.1 200") and "x-receipt-id" in text.lower()


def status_of(p, name):
    pid = p.must("inspect", "-f", "{{.State.Pid}}", name).strip()
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    mounts = pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    return status, next(m.split()[5] for m in mounts if m.split()[4] == "/")


@test("the compose file's fleet answers, unprivileged on read-only files, and its workers take turns restarting",
      300)
def _():
    try:
        compose = installs.python_with("podman-compose").parent / "podman-compose"
    except installs.Missing as why:
        raise Skip(str(why)) from why
    p = podman()
    run = [str(compose.parent / "python"), str(compose), "-f",
           str(ROOT / "deploy/container/compose.yaml")]
    code, text = p.within(*run, "up", "-d", "--no-build")
    assert code == 0, text[-3000:]
    wait_for(lambda: answered(p))
    names = p.must("ps", "--format", "{{.Names}}").split()
    assert len(names) == 5, names
    for name in names:
        status, root = status_of(p, name)
        assert status["Uid"].split() == ["65532"] * 4, (name, status["Uid"])
        assert status["NoNewPrivs"] == "1" and int(status["CapBnd"], 16) == 0, name
        assert int(status["Seccomp"]) == 2 and root.split(",")[0] == "ro", (name, root)
    for name in [n for n in names if "worker" in n]:
        code, text = p.within("podman", "restart", "--time", "20", name)
        assert code == 0, text
        wait_for(lambda: answered(p))
    code, text = p.within("podman", "stop", "--all", "--time", "40")
    assert code == 0, text
    ends = p.must("ps", "--all", "--format", "{{.Names}} {{.ExitCode}}").split("\n")
    assert all(e.endswith(" 0") for e in ends if e), ends
