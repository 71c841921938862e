"""Workers that come and go while everything runs: by name servers, and by a file"""
import contextlib
import os
import pathlib
import socket
import subprocess
import threading

from client import chat, chat_body, http, wait_for
from nameserver import NameServer
from engine import Engine
from stack import Options, Program, Stack, flags, free_port, is_open
from suite import Skip, test

SEALED = "/.well-known/ohttp-gateway"


class Fleet:
    """Workers at 127.0.0.1, 127.0.0.2 and so on, on one port, each with an engine of its own."""

    def __init__(self, s):
        self.s = s
        self.port = free_port()
        self.engines, self.workers = {}, {}

    def start(self, i, port=None, **more):
        s, port = self.s, port or self.port
        self.engines[i] = Engine()
        settings = {**s.worker_settings, "engine": self.engines[i].url, "name": f"w{i}",
                    "listen": f"127.0.0.{i}:{port}", **more}
        self.workers[i] = Program("sealgate-worker", flags(settings), s.folder)
        s.workers.append(self.workers[i])
        return f"127.0.0.{i}:{port}"

    def calls(self, i, model):
        return len(self.engines[i].of(model))

    def close(self):
        for e in self.engines.values():
            e.close()


@contextlib.contextmanager
def fleet(servers=True, gateway=None):
    """A stack without workers yet, and a name server that the gateway asks."""
    with Stack(workers=0, start_gateway=False) as s:
        s.fleet, s.names = Fleet(s), NameServer()
        s.gateway_settings.update({"dns_server": s.names.address, "workers_refresh": "1s", "shards": 1})
        s.gateway_settings.update(gateway or {})
        try:
            yield s
        finally:
            s.fleet.close()
            s.names.close()


def start(s, workers):
    s.gateway_settings["workers"] = workers
    s.start_gateway()


def page(s):
    return s.http("GET", "/v1/attestation").json


def trusted(s):
    return {w["address"] for w in page(s)["data"] if w["trusted"] and w["reachable"]}


def until_trusted(s, addresses):
    wait_for(lambda: trusted(s) == set(addresses))


def lines(s, words):
    return [x for x in s.gateway.log.splitlines() if words in x]


def states(s):
    return [x["state"] for x in page(s)["sources"]]


def until_state(s, state):
    wait_for(lambda: states(s) == [state])


class Crowd:
    """Asks all the time, until the end of a block; nothing may go wrong."""

    def __init__(self, s):
        self.s, self.over, self.asked, self.wrong = s, False, 0, []

    def run(self):
        while not self.over:
            a = chat(self.s.port, "gpt-test", self.asked % 2 == 0)
            if a.status != 200 or not a.complete:
                self.wrong.append((a.status, a.body))
            self.asked += 1

    def __enter__(self):
        self.threads = [threading.Thread(target=self.run) for _ in range(3)]
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, kind, *_):
        self.over = True
        for t in self.threads:
            t.join()
        if kind is None:
            assert not self.wrong and self.asked > 10, (self.asked, self.wrong[:3])


def until_served(s, i, ask=None):
    """Somebody's requests reach that worker: those of a crowd, or ours."""
    before = s.fleet.calls(i, "gpt-test")

    def is_served():
        if ask is not None:
            ask(s.port, "gpt-test")
        return s.fleet.calls(i, "gpt-test") > before
    wait_for(is_served)


@test("workers behind a name come and go without a failed request, and who leaves finishes")
def _():
    with fleet(gateway={"shards": 2, "workers_refresh": "1h"}) as s:  # the time to live is shorter
        at = {i: s.fleet.start(i) for i in (1, 2, 3)}
        s.names.records["w.test", "A"] = ["127.0.0.1"]
        start(s, [f"dns://w.test:{s.fleet.port}"])
        s.wait_ready()
        until_trusted(s, [at[1]])
        with s.conn() as c, Crowd(s):
            held = c.ask("POST", "/v1/chat/completions", chat_body("gate-leaving", True))
            assert held.status == 200 and s.fleet.calls(1, "gate-leaving") == 1
            s.names.records["w.test", "A"] = ["127.0.0.3", "127.0.0.2", "127.0.0.1"]
            until_trusted(s, at.values())
            until_served(s, 2)
            until_served(s, 3)
            s.names.records["w.test", "A"] = ["127.0.0.2", "127.0.0.3"]
            until_trusted(s, [at[2], at[3]])
            s.fleet.engines[1].release["leaving"] = True
            assert c.rest(held).complete and held.body.rstrip().endswith(b"[DONE]")
            s.fleet.workers[1].stop()
            until_served(s, 2)
        assert s.metric("sealgate_workers") == 2
        numbers = [w["worker"] for w in page(s)["data"]]
        assert len(set(numbers)) == 2 and 0 not in numbers, numbers


@test("a name that is gone, broken or empty changes nothing, and is said once")
def _():
    with fleet() as s:
        at = s.fleet.start(1)
        s.names.records["w.test", "A"] = ["127.0.0.1"]
        start(s, [f"dns://w.test:{s.fleet.port}"])
        s.wait_ready()
        for make, state in ((lambda: s.names.broken.add("w.test"), "unavailable"),
                            (lambda: s.names.broken.clear(), "ok"),
                            (lambda: s.names.records.pop(("w.test", "A")), "nothing"),
                            (lambda: s.names.records.update({("w.test", "AAAA"): []}), "nothing")):
            make()
            until_state(s, state)
            before = s.names.times("w.test")
            wait_for(lambda: s.names.times("w.test") > before + 2)
            assert states(s) == [state] and trusted(s) == {at}
            assert chat(s.port, "gpt-test").status == 200
        assert s.metric("sealgate_worker_sources", state="nothing") == 1
        said = lines(s, "cannot be looked up")
        assert len(said) == 2 and '"unavailable"' in said[0] and '"nothing"' in said[1], said


@test("a name that is not there yet is waited for, and is asked for again as long as it lasts only")
def _():
    with fleet(gateway={"workers_refresh": "1h"}) as s:
        s.fleet.start(1)
        start(s, [f"dns://w.test:{s.fleet.port}"])
        assert states(s) in (["not_asked"], ["nothing"])
        until_state(s, "nothing")
        assert page(s)["data"] == [] and s.http("GET", "/readyz").status == 503
        s.names.ttl = 3600
        s.names.records["w.test", "A"] = ["127.0.0.1"]
        assert chat(s.port, "gpt-test").status == 200
        until_state(s, "ok")
        s.names.records["w.test", "A"] = ["127.0.0.1", "127.0.0.2"]
        s.fleet.start(2)
        s.gateway.signal(1)  # is asked for at once
        until_trusted(s, [f"127.0.0.{i}:{s.fleet.port}" for i in (1, 2)])


@test("an answer that is too long for UDP is asked for over TCP; no more workers than the limit are used")
def _():
    with fleet() as s:
        s.fleet.start(1)
        s.names.ttl = 600
        s.names.records["w.test", "A"] = [f"127.0.0.{i}" for i in range(1, 81)]
        start(s, [f"dns://w.test:{s.fleet.port}"])
        s.wait_ready()
        assert s.names.by_tcp > 0 and len(page(s)["data"]) == 64
        assert page(s)["sources"][0]["workers"] == 80
        wait_for(lambda: lines(s, '"left_out":16'))


@test("services are found with their ports, and the lower priority first")
def _():
    with fleet() as s:
        ports = {1: free_port(), 2: free_port(), 3: free_port()}
        at = {i: s.fleet.start(i, port) for i, port in ports.items()}
        service = ("_sealgate._tcp.w.test", "SRV")
        for i in ports:
            s.names.records[f"w{i}.test", "A"] = [f"127.0.0.{i}"]
        s.names.records[service] = [(1, 5, ports[1], "w1.test"), (2, 5, ports[2], "w2.test"),
                                    (2, 5, ports[3], "w3.test")]
        start(s, ["srv://_sealgate._tcp.w.test"])
        until_trusted(s, at.values())
        until_served(s, 1, chat)
        for _ in range(12):
            assert chat(s.port, "plain").status == 200
        assert [s.fleet.calls(i, "plain") for i in (1, 2, 3)] == [12, 0, 0]
        s.fleet.workers[1].kill()
        s.workers.remove(s.fleet.workers[1])
        until_served(s, 2, chat)
        until_served(s, 3, chat)
        s.names.records[service] = [(0, 0, ports[3], "w3.test"), (9, 0, ports[2], "w2.test")]
        wait_for(lambda: [w.get("priority") for w in page(s)["data"]] == [9, None])
        for _ in range(12):
            assert chat(s.port, "plain-last").status == 200
        assert [s.fleet.calls(i, "plain-last") for i in (2, 3)] == [0, 12]


@test("of services with one priority the heavier get more, and weights are followed")
def _():
    with fleet(gateway={"worker_slow_start": "0"}) as s:
        ports = {1: free_port(), 2: free_port()}
        at = {i: s.fleet.start(i, port) for i, port in ports.items()}
        service = ("_sealgate._tcp.w.test", "SRV")
        for i in ports:
            s.names.records[f"w{i}.test", "A"] = [f"127.0.0.{i}"]

        def ask_with(one, two, model):
            s.names.records[service] = [(1, one, ports[1], "w1.test"), (1, two, ports[2], "w2.test")]
            if s.gateway is None:
                start(s, ["srv://_sealgate._tcp.w.test"])
            until_trusted(s, at.values())
            wait_for(lambda: {w["address"]: w.get("weight", 1) for w in page(s)["data"]} ==
                     {at[1]: one, at[2]: two} and in_use(s) == 2)
            assert {chat(s.port, model).status for _ in range(60)} == {200}
            return s.fleet.calls(1, model), s.fleet.calls(2, model)

        one, two = ask_with(9, 1, "plain-first")
        assert one > 40 and one + two == 60, (one, two)
        one, two = ask_with(0, 100, "plain-second")
        assert two > 50 and one + two == 60, (one, two)


def in_use(s):
    return s.metric("sealgate_worker_connections", state="in_use")


def start_elsewhere(s, resolv):
    """The gateway, with another /etc/resolv.conf than ours."""
    log = pathlib.Path(s.folder) / "elsewhere.log"
    command = f"mount --bind {resolv} /etc/resolv.conf && exec \"$@\""
    arguments = [str(Options.build / "sealgate-gateway"), *flags(s.gateway_settings)]
    g = Program.__new__(Program)
    g.name, g.log_path = "sealgate-gateway", log
    with open(log, "wb") as out:
        g.process = subprocess.Popen(["unshare", "-m", "sh", "-c", command, "sh", *arguments], cwd=s.folder,
                                     stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    g.pid = g.process.pid
    Program.living.append(g)
    s.gateway = g
    wait_for(lambda: is_open(s.port) or not g.alive())
    g.check()


def can_elsewhere():
    done = subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL, check=False)
    return os.geteuid() == 0 and done.returncode == 0 and os.path.exists("/etc/resolv.conf")


@test("behind a name a worker's certificate is for that name, or for its service's host")
def _():
    from test_http import certificate
    with fleet() as s:
        cert, key = certificate(s, "w.test")
        s.fleet.start(2, listen=f"tls://127.0.0.2:{s.fleet.port}", tls_cert=cert, tls_key=key)
        for name in ("w.test", "x.test"):
            s.names.records[name, "A"] = ["127.0.0.2"]
            s.names.records[f"_s._tcp.{name}", "SRV"] = [(0, 0, s.fleet.port, name)]
        s.gateway_settings["worker_ca"] = cert
        for source, good in ((f"dns+tls://w.test:{s.fleet.port}", True), ("srv+tls://_s._tcp.w.test", True),
                             (f"dns+tls://x.test:{s.fleet.port}", False), ("srv+tls://_s._tcp.x.test", False)):
            s.gateway_settings["worker_timeout"] = "60s" if good else "300ms"
            start(s, [source])
            if good:
                until_trusted(s, [f"tls://127.0.0.2:{s.fleet.port}"])
                assert page(s)["data"][0]["name"] == "w.test" and chat(s.port, "gpt-test").status == 200
            else:
                wait_for(lambda: [w["quarantine"] for w in page(s)["data"]] == ["unreachable"])
                assert chat(s.port, "gpt-test").status == 503
            s.gateway.stop()
            s.gateway = None


@test("an address of IPv6 is one like any other, of a name server, too")
def _():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as why:
        raise Skip(f"there is no IPv6 here: {why}") from why
    names = NameServer(host="::1")
    with fleet(gateway={"dns_server": names.address}) as s:
        s.fleet.start(1, listen=f"[::1]:{s.fleet.port}")
        names.records["w.test", "AAAA"] = ["::1"]
        start(s, [f"dns://w.test:{s.fleet.port}"])
        until_trusted(s, [f"[::1]:{s.fleet.port}"])
        assert chat(s.port, "gpt-test").status == 200
        names.close()


@test("without dns_server those of /etc/resolv.conf are asked, with its search list")
def _():
    if not can_elsewhere():
        raise Skip("only root may have a mount namespace and a name server on port 53")
    try:
        names = NameServer(host="127.53.1.1", port=53)
    except OSError as why:
        raise Skip(f"port 53 of 127.53.1.1 is not free: {why}") from why
    with fleet(gateway={"dns_server": None}) as s:
        at = s.fleet.start(1)
        names.records["workers.pods.test", "A"] = ["127.0.0.1"]
        s.gateway_settings["workers"] = [f"dns://workers:{s.fleet.port}"]
        start_elsewhere(s, s.write("resolv.conf", "nameserver 127.53.1.1\nsearch pods.test\n"))
        s.wait_ready()
        until_trusted(s, [at])
        assert chat(s.port, "gpt-test").status == 200
        names.close()


@test("a file of workers is followed, in whatever way it is written; a broken one changes nothing")
def _():
    with fleet(gateway={"shards": 2}) as s:
        at = {i: s.fleet.start(i) for i in (1, 2)}
        path = s.write("workers", f"# ours\n{at[1]}\n")
        start(s, [f"file://{path}"])
        s.wait_ready()
        with Crowd(s):
            new = s.write("workers.new", f"{at[1]}\n{at[2]} # another\n")
            os.rename(new, path)
            until_trusted(s, at.values())
            until_served(s, 2)
            s.write("workers", f"{at[2]}\n\nnot an address\n")
            until_state(s, "malformed")
            assert trusted(s) == set(at.values())
            line = wait_for(lambda: lines(s, "cannot be looked up"))
            assert len(line) == 1 and '"line":3' in line[0], line
            s.write("workers", "# nobody\n")
            until_state(s, "nothing")
            assert trusted(s) == set(at.values())
            s.write("workers", f"{at[2]}\n")
            until_trusted(s, [at[2]])
        s.fleet.workers[1].stop()
        assert chat(s.port, "gpt-test").status == 200


@test("whoever answers for a name cannot bring in a worker that the policy does not accept")
def _():
    with fleet() as s:
        at = {i: s.fleet.start(i) for i in (1, 2)}
        s.gateway_settings["policy"] = s.write(
            "policy.yaml", "platforms: [simulated]\nmeasurements: any\nworker_names: [w1]\n")
        s.names.records["w.test", "A"] = ["127.0.0.1", "127.0.0.2"]
        start(s, [f"dns://w.test:{s.fleet.port}"])
        wait_for(lambda: [w for w in page(s)["data"] if w.get("quarantine") == "worker"])
        until_trusted(s, [at[1]])
        for _ in range(8):
            assert chat(s.port, "gpt-test").status == 200
        assert not s.fleet.engines[2].calls


@test("what a worker that has left has kept is not found, and nobody says otherwise")
def _():
    with fleet() as s:
        at = {i: s.fleet.start(i) for i in (1, 2)}
        path = s.write("workers", f"{at[1]}\n")
        start(s, [f"file://{path}"])
        s.wait_ready()
        kept = s.http("POST", "/v1/responses", {"model": "gpt-test", "input": "one"}).json
        assert s.http("GET", f"/v1/responses/{kept['id']}").status == 200
        s.write("workers", f"{at[1]}\n{at[2]}\n")
        until_trusted(s, at.values())
        for _ in range(8):
            assert s.http("GET", f"/v1/responses/{kept['id']}").status == 200
        s.write("workers", f"{at[2]}\n")
        until_trusted(s, [at[2]])
        assert s.http("GET", f"/v1/responses/{kept['id']}").status == 404
        a = s.http("POST", "/v1/responses", {"model": "gpt-test", "input": "two",
                                             "previous_response_id": kept["id"]})
        assert a.status == 404 and a.error["code"] == "previous_response_not_found", a.body


@test("a relay follows the same sources, and looks at them again on SIGHUP")
def _():
    with fleet() as s:
        at = {i: s.fleet.start(i) for i in (1, 2)}
        s.relay_port, s.relay_h2 = free_port(), free_port()
        s.names.records["w.test", "A"] = ["127.0.0.1"]
        s.names.ttl = 600
        s.relay_settings = {"mode": "relay", "listen": f"127.0.0.1:{s.relay_port}",
                            "listen_h2": f"127.0.0.1:{s.relay_h2}", "dns_server": s.names.address,
                            "workers_refresh": "1h", "shards": "1",
                            "workers": [f"dns://w.test:{s.fleet.port}"]}
        s.relay = Program("sealgate-gateway", flags(s.relay_settings), s.folder)
        wait_for(lambda: is_open(s.relay_port))
        try:
            start(s, [f"127.0.0.1:{s.relay_h2}"])
            s.wait_ready()
            with s.conn() as c:
                held = c.ask("POST", "/v1/chat/completions", chat_body("gate-relayed", True))
                assert held.status == 200 and s.fleet.calls(1, "gate-relayed") == 1
                keys = http(s.relay_port, "GET", SEALED).body
                s.names.records["w.test", "A"] = ["127.0.0.2"]
                s.relay.signal(1)  # the time to live is long
                wait_for(lambda: s.relay.log.count("another set of workers") == 2)
                wait_for(lambda: (a := http(s.relay_port, "GET", SEALED)).status == 200 and a.body != keys)
                wait_for(lambda: "\nsealgate_relay_workers 1\n" in
                         http(s.relay_port, "GET", "/metrics").body.decode())
                wait_for(lambda: chat(s.port, "plain").status == 200 and s.fleet.calls(2, "plain"))
                s.fleet.engines[1].release["relayed"] = True
                assert c.rest(held).complete and held.body.rstrip().endswith(b"[DONE]")
            assert s.fleet.calls(1, "plain") == 0, at
            s.gateway.stop()
            s.relay.stop()
        finally:
            if s.relay in Program.living:
                s.relay.kill()


@test("what is no source is refused at the start, and so is a file with a line that is no address")
def _():
    with fleet() as s:
        path = s.write("workers", "127.0.0.1:1\n:2\n")
        for workers, words in (("dns://w.test", '"dns://w.test" is not an address'),
                               ("srv://*", "is not an address"), ("file://relative", "is not an address"),
                               (f"file://{path}", f"{path}:2: is not an address")):
            g = Program("sealgate-gateway", flags({**s.gateway_settings, "workers": workers}), s.folder)
            assert g.wait() == 1 and words in g.log, g.log
        g = Program("sealgate-gateway", flags({**s.gateway_settings, "workers": "w:1",
                                               "dns_server": "::1"}), s.folder)
        assert g.wait() == 1 and "dns-server: is not an address" in g.log, g.log
