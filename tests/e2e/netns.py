"""Network namespaces of a test's own: machines on one bridge, and wires between that lose and delay.

Needs root. No module of the kernel beside veth and bridge is needed: what tc's netem would do is done
by wire.py, frame by frame.
"""
import contextlib
import ctypes
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def ip(*words, check=True):
    return subprocess.run(["ip", *map(str, words)], check=check, capture_output=True, text=True)


def why_not():
    """Why there can be no namespaces here; None: there can."""
    if os.geteuid() != 0:
        return "needs root"
    name = f"sg{os.getpid()}-try"
    try:
        done = [ip("netns", "add", name, check=False),
                ip("-n", name, "link", "add", "br0", "type", "bridge", check=False),
                ip("-n", name, "link", "add", "va", "type", "veth", "peer", "name", "vb", check=False)]
    except FileNotFoundError:
        return "needs ip (iproute2)"
    ip("netns", "del", name, check=False)
    failed = [d.stderr.strip() for d in done if d.returncode != 0]
    return f"no namespaces, bridges or veth here: {failed[0]}" if failed else None


def enter(fd):
    """This thread's sockets are made there from now on."""
    if LIBC.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Net:
    """Machines named by `names`, with the addresses 10.77.0.1, .2 ... in their order."""

    def __init__(self, names):
        self.names = list(names)
        self.prefix = f"sg{os.getpid()}-"
        self.hub = self.prefix + "hub"
        self.wires = {}
        ip("netns", "add", self.hub)
        try:
            self.link()
        except BaseException:
            self.close()
            raise

    def link(self):
        ip("-n", self.hub, "link", "add", "br0", "type", "bridge")
        ip("-n", self.hub, "link", "set", "br0", "up")
        for i, name in enumerate(self.names):
            ns = self.prefix + name
            ip("netns", "add", ns)
            ip("-n", self.hub, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", ns)
            ip("-n", self.hub, "link", "set", name, "master", "br0", "up")
            ip("-n", ns, "addr", "add", f"10.77.0.{i + 1}/24", "dev", "eth0")
            ip("-n", ns, "link", "set", "eth0", "up")
            ip("-n", ns, "link", "set", "lo", "up")

    def address(self, name):
        return f"10.77.0.{self.names.index(name) + 1}"

    def inside(self, name):
        """The words in front of a command that is to run there."""
        return ["ip", "netns", "exec", self.prefix + name]

    @contextlib.contextmanager
    def entered(self, name):
        """Sockets of this thread, and of threads that it starts, are made there."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/var/run/netns/{self.prefix}{name}", os.O_RDONLY)
        try:
            enter(there)
            yield
        finally:
            enter(before)
            os.close(before)
            os.close(there)

    def wire(self, name, loss=0.0, delay_ms=0):
        """From now on a machine's frames go through wire.py, both ways. loss: 0 to 1."""
        a, b = f"{name}-a", f"{name}-b"
        if name not in self.wires:
            ip("-n", self.hub, "link", "add", a, "type", "veth", "peer", "name", b)
            ip("-n", self.hub, "link", "set", b, "up")
        else:
            self.cut_wire(name)
        ip("-n", self.hub, "link", "set", name, "nomaster")
        ip("-n", self.hub, "link", "set", a, "master", "br0", "up")
        self.wires[name] = subprocess.Popen(
            ["ip", "netns", "exec", self.hub, sys.executable, str(HERE / "wire.py"), name, b,
             str(loss), str(delay_ms)], stdout=subprocess.PIPE)
        assert self.wires[name].stdout.readline() == b"ready\n"

    def cut_wire(self, name):
        self.wires[name].terminate()
        self.wires[name].wait(10)
        self.wires[name].stdout.close()

    def unwire(self, name):
        """The machine is on the bridge again."""
        self.cut_wire(name)
        del self.wires[name]
        ip("-n", self.hub, "link", "del", f"{name}-a")
        ip("-n", self.hub, "link", "set", name, "master", "br0")

    def close(self):
        for name in list(self.wires):
            self.cut_wire(name)
        self.wires.clear()
        for name in [*self.names, "hub"]:
            ip("netns", "del", self.prefix + name, check=False)
        time.sleep(0.1)
