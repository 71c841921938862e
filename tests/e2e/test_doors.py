"""Doors of a worker for other clients: each a setting, EHBP with its own key and through a relay"""
import hashlib
import json

import air
import ehbp
import test_relay
from client import Broken, chat, chat_body, http, wait_for
from stack import Options, Stack, run
from suite import test

OPEN = {"door_ehbp": True}
MISMATCH = "urn:ietf:params:ehbp:error:key-config"


def relayed(relay=None, gateway=False, **more):
    """Of several shards each would have to be waited for until it has found the workers."""
    return test_relay.relayed(relay={"shards": "1", **(relay or {})}, gateway=gateway, **more)


def body_of(model, stream=False, **more):
    return json.dumps(chat_body(model, stream, **more)).encode()


def bundle(s):
    a = http(s.relay_port, "POST", "/attestation", {"nonce": "A" * 43})
    assert a.status == 200, a.body
    return air.cbor(bytes(a.body))


def check_receipt(s, answer, body):
    """By the worker's identity, and against what was sent and opened here."""
    claims = air.verify(answer.receipt, bundle(s)["identity"])
    assert claims["request_hash"] == hashlib.sha256(body).digest()
    sse = answer.header("content-type").startswith("text/event-stream")
    content = air.without_comments(bytes(answer.body)) if sse else bytes(answer.body)
    assert claims["response_hash"] == hashlib.sha256(content).digest()
    assert claims["cti"].hex() == answer.header("x-receipt-id")
    return claims


@test("an answer and a stream come through a relay to a client of EHBP, each with a receipt that holds")
def _():
    with relayed(worker=OPEN) as s:
        pk = ehbp.fetch_key(s.relay_port)
        body = body_of("gpt-test")
        a = ehbp.ask(s.relay_port, pk, body, headers=[("x-receipt-nonce", "AAECAwQFBgcI")])
        assert a.status == 200 and a.sealed and a.json["choices"], a.body
        assert check_receipt(s, a, body)["eat_nonce"] == bytes(range(9))
        body = body_of("words-20-1", True)
        a = ehbp.ask(s.relay_port, pk, body, frame=50)
        assert a.status == 200 and a.complete and len(a.frames) > 2
        assert a.events()[-1] == "[DONE]" and len(a.text().split()) == 20, a.body
        check_receipt(s, a, body)
        assert a.body.count(b": receipt ") == 1 and len(a.body) % 512 == 0
        assert [json.loads(c.body)["model"] for c in s.engine.calls] == ["gpt-test", "words-20-1"]


@test("a receipt over EHBP is verified offline like any other")
def _():
    with relayed(worker=OPEN) as s:
        body = body_of("words-5-1", True)
        a = ehbp.ask(s.relay_port, ehbp.fetch_key(s.relay_port), body)
        digest = json.loads(http(s.relay_port, "GET", "/attestation").body)["document"]
        evidence = http(s.relay_port, "GET", f"/attestation/{digest}").body
        files = {"receipt": a.receipt, "evidence": evidence, "request": body, "response": a.body}
        with_tail = {n: s.write(n, "") for n in files}
        for name, data in files.items():
            with open(with_tail[name], "wb") as f:
                f.write(data)
        flags = [f"--{n}={with_tail[n]}" for n in ("evidence", "request", "response")]
        status, said = run("sealgate", "verify", "--sse", "--policy=simulated", *flags,
                           with_tail["receipt"])
        assert status == 0, said
        with open(with_tail["request"], "wb") as f:
            f.write(body + b" ")
        status, said = run("sealgate", "verify", "--sse", "--policy=simulated", *flags,
                           with_tail["receipt"])
        assert status == 1, said
        for path in with_tail.values():
            open(path, "wb").close()


@test("the attested identity has signed the key that EHBP's clients get")
def _():
    with relayed(worker=OPEN) as s:
        b = bundle(s)
        tagged = air.cbor(b["key_statement"])
        protected, _unprotected, payload, signature = tagged.value
        signed = b"\x84\x6aSignature1" + air.bstr(protected) + b"\x40" + air.bstr(payload)
        assert air.ed25519_is_good(b["identity"], signed, signature)
        statement = air.cbor(payload)
        assert ehbp.public_key(statement["ehbp_key"]) == ehbp.fetch_key(s.relay_port)
        assert ehbp.public_key(statement["ehbp_key"]) not in statement["key_list"]
        status, said = run("sealgate", "attest", "--policy=simulated", "--json",
                           f"127.0.0.1:{s.relay_h2}")
        assert status == 0 and json.loads(said)["ehbp_key"] == statement["ehbp_key"].hex(), said


@test("an answer over EHBP that was cut anywhere shows it to whoever looks")
def _():
    with relayed(worker=OPEN) as s:
        pk = ehbp.fetch_key(s.relay_port)
        body = body_of("words-5-1", True)
        whole = ehbp.ask(s.relay_port, pk, body)
        check_receipt(s, whole, body)
        at, cuts = 0, []
        while at < len(whole.came):
            at += 4 + int.from_bytes(whole.came[at:at + 4], "big")
            cuts += [at - 5, at]
        for cut in cuts[:-1]:
            try:
                kept = b"".join(whole.exchange.frames(whole.came[:cut]))
            except Broken:
                continue
            assert bytes(whole.body).startswith(kept) and b": receipt " not in kept
        broken = ehbp.ask(s.relay_port, pk, body_of("cut-2", True))
        assert broken.status == 200 and broken.sealed and broken.receipt is None
        assert b"[DONE]" not in broken.body and "error" in json.loads(broken.events()[-1])
        early = ehbp.ask(s.relay_port, pk, body_of("cut-json"))
        assert early.status == 502 and early.sealed and early.error["code"], early.body


@test("a sealed body that comes again is refused, with its own fields or with others")
def _():
    with relayed(worker=OPEN) as s:
        first = ehbp.ask(s.relay_port, ehbp.fetch_key(s.relay_port), body_of("plain-once"))
        assert first.status == 200
        again = ehbp.send(s.relay_port, first.exchange, first.request)
        assert again.status == 409 and again.sealed, again.body
        assert again.error["code"] == "replayed_request"
        other = ehbp.send(s.relay_port, first.exchange, first.request, "/v1/completions",
                          [("x-request-id", "another")])
        assert other.status == 409 and len(s.engine.of("plain-once")) == 1


@test("keys of EHBP rotate: the one before still opens, then a client is told to fetch the next")
def _():
    life = 4 * Options.patience  # after that long a machine may still have to be at the next line
    keys = {"key_life": f"{life}s", "key_ahead": f"{life // 2}s", "key_grace": f"{life + 4}s"}
    with relayed(worker={**OPEN, **keys}) as s:
        old = ehbp.fetch_key(s.relay_port)
        new = wait_for(lambda: (k := ehbp.fetch_key(s.relay_port)) != old and k)
        assert ehbp.ask(s.relay_port, old, body_of("gpt-test")).status == 200
        assert ehbp.ask(s.relay_port, new, body_of("gpt-test")).status == 200
        gone = wait_for(lambda: (a := ehbp.ask(s.relay_port, old, b"{}")).status == 422 and a)
        assert not gone.sealed and gone.json["type"] == MISMATCH, gone.body
        assert gone.header("content-type") == "application/problem+json"
        now = ehbp.fetch_key(s.relay_port)
        assert ehbp.ask(s.relay_port, now, body_of("gpt-test")).status == 200


@test("errors over EHBP are sealed, and what is not sealed is refused in the clear")
def _():
    with relayed(worker=OPEN) as s:
        pk = ehbp.fetch_key(s.relay_port)
        a = ehbp.ask(s.relay_port, pk, b"{}", "/v1/nothing/../else")
        assert a.status == 404 and a.sealed and a.error["code"] == "unknown_url", a.body
        a = ehbp.ask(s.relay_port, pk, body_of("err-429"))
        assert a.sealed and a.status == 429, a.body
        a = ehbp.ask(s.relay_port, pk, b"")
        assert a.status == 400 and not a.sealed
        exchange = ehbp.Exchange(pk)
        sealed = bytearray(exchange.seal(body_of("gpt-test")) + exchange.seal(b" "))
        sealed[-1] ^= 1
        a = ehbp.send(s.relay_port, exchange, bytes(sealed))
        assert a.status == 400 and not a.sealed, a.body
        a = http(s.relay_port, "POST", "/v1/chat/completions", chat_body("gpt-test"))
        assert a.status == 403 and a.error["code"] == "seal_required"
        assert http(s.relay_port, "GET", "/v1/models").status == 403
        assert not s.engine.of("gpt-test")


@test("a worker's token comes outside of EHBP and ends there; a relay's own ends at the relay")
def _():
    token, digest = "a-token", hashlib.sha256(b"a-token").hexdigest()
    bearer = [("authorization", f"Bearer {token}")]
    with Stack(start_gateway=False) as files:
        tokens = files.write("tokens", digest + " somebody\n")
        with relayed(worker={**OPEN, "tokens_file": tokens}) as s:
            pk = ehbp.fetch_key(s.relay_port)
            a = ehbp.ask(s.relay_port, pk, body_of("gpt-test"))
            assert a.status == 401 and a.sealed, a.body
            assert ehbp.ask(s.relay_port, pk, body_of("gpt-test"), headers=bearer).status == 200
            assert "authorization" not in s.engine.calls[-1].headers
        with relayed(worker=OPEN, relay={"tokens_file": tokens}) as s:
            pk = ehbp.public_key(bytes(http(s.relay_port, "GET", ehbp.KEYS, None, bearer).body))
            a = ehbp.ask(s.relay_port, pk, body_of("gpt-test"))
            assert a.status == 401 and not a.sealed, a.body
            assert ehbp.ask(s.relay_port, pk, body_of("gpt-test"), headers=bearer).status == 200
            assert "authorization" not in s.engine.calls[-1].headers


def one_serves_all(port):
    pk = ehbp.fetch_key(port)
    return all(ehbp.fetch_key(port) == pk and ehbp.ask(port, pk, body_of("gpt-test")).status == 200
               for _i in range(8))


@test("of several workers one serves all that comes from one address, on any connection")
def _():
    with relayed(workers=3, worker=OPEN) as s:
        # More of them may still be found; from then on it is always the same.
        wait_for(lambda: one_serves_all(s.relay_port))


@test("each door can be shut, and gateways need no more than the chunked one")
def _():
    shut = {"door_plain": False, "door_discovery": False}
    with relayed(worker=shut, gateway={}) as s:
        assert chat(s.port, "gpt-test").complete
        assert http(s.relay_port, "GET", test_relay.SEALED).status == 404
        assert http(s.relay_port, "GET", ehbp.KEYS).status == 404
        a = http(s.relay_port, "POST", test_relay.SEALED, b"x", [("content-type", "message/ohttp-req")])
        assert a.status == 415, a.body
    status, said = run("sealgate-worker", "--no-door-chunked", "--no-door-plain")
    assert status != 0 and "door_ehbp" in said, said
