"""What an attacker between gateway and worker can do, and what a worker with false receipts can"""
from client import chat, chat_body, wait_for
from engine import WORDS, stepwise
from proxy import END_STREAM, Proxy
from stack import Stack
from suite import test
from test_engines import broken

TEXT = "".join(WORDS)


def failed(a, codes=None):
    """An answer that no client takes for one."""
    if a.status == 200:
        broken(a)
        return
    assert a.status in (502, 503) and a.complete, (a.status, a.body)
    assert codes is None or a.error["code"] in codes, a.error


def tampered(s, hook):
    """A stream with hook(link, frame, n) at work."""
    state = {"seen": 0}

    def counting(link, frame, n):
        state["seen"] += 1
        return hook(link, frame, n)
    s.engine.scripts["stepwise"] = stepwise(state)
    s.proxies[0].on_answer = counting
    return chat(s.port, "stepwise", True)


def tampering(hook):
    """Each kind of answer, with hook(link, frame, n) at work."""
    with Stack(between=Proxy) as s:
        failed(tampered(s, hook))
        s.proxies[0].on_answer = hook
        failed(chat(s.port, "gpt-test"))
        s.proxies[0].on_answer = None
        ok = wait_for(lambda: (lambda a: a if a.status == 200 else None)(chat(s.port, "gpt-test", True)))
        assert ok.complete and ok.text() == TEXT


@test("a bit flipped in the first sealed bytes of an answer makes it an error")
def _():
    def hook(link, frame, n):
        if n == 0 and frame.payload:
            frame.payload = frame.payload[:40] + bytes([frame.payload[40] ^ 1]) + frame.payload[41:]
        return frame
    tampering(hook)


@test("a bit flipped in the response's nonce makes it an error")
def _():
    def hook(link, frame, n):
        if n == 0:
            frame.payload = bytes([frame.payload[0] ^ 1]) + frame.payload[1:]
        return frame
    tampering(hook)


@test("a bit flipped in the last sealed bytes of an answer makes it an error")
def _():
    def hook(link, frame, n):
        if frame.flags & END_STREAM and frame.payload:
            frame.payload = frame.payload[:-1] + bytes([frame.payload[-1] ^ 0x80])
        return frame
    tampering(hook)


@test("sealed chunks that were dropped, repeated or exchanged make it an error")
def _():
    def drop(link, frame, n):
        if n == 2:
            frame.payload = b""
        return frame

    def repeat(link, frame, n):
        if n == 2:
            frame.payload += frame.payload
        return frame

    held = {}

    def exchange(link, frame, n):
        if n == 2:
            held["payload"], frame.payload = frame.payload, b""
        elif n == 3:
            frame.payload += held["payload"]
        return frame
    for hook in (drop, repeat, exchange):
        with Stack(between=Proxy) as s:
            failed(tampered(s, hook))


@test("an answer whose end was cut off cleanly is an error")
def _():
    for last in (1, 3, 5):
        def hook(link, frame, n, last=last):
            if n == last:
                frame.flags |= END_STREAM
            return frame if n <= last else None
        with Stack(between=Proxy) as s:
            failed(tampered(s, hook))


@test("the final chunk alone being withheld is an error")
def _():
    def hook(link, frame, n):
        if frame.flags & END_STREAM:
            frame.payload = frame.payload[:-17] if len(frame.payload) > 17 else b""
        return frame
    tampering(hook)


@test("bytes behind the final chunk are an error")
def _():
    def hook(link, frame, n):
        if frame.flags & END_STREAM:
            frame.payload += b"\x00extra bytes that nobody sealed"
        return frame
    with Stack(between=Proxy) as s:
        s.proxies[0].on_answer = hook
        failed(chat(s.port, "gpt-test", True))


@test("one client's sealed answer given to another is an error")
def _():
    import concurrent.futures
    with Stack(between=Proxy) as s:
        seen = {}

        def hook(link, frame, n):
            frames = seen.setdefault(frame.stream, [])
            frames.append(frame.payload)
            others = [v for k, v in seen.items() if k != frame.stream]
            if others and n < len(others[0]):
                frame.payload = others[0][n]
            return frame
        first = chat(s.port, "gpt-test")
        assert first.status == 200
        s.proxies[0].on_answer = hook
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: chat(s.port, "words-3-10", True), range(4)))
        assert any(a.status != 200 or not a.complete for a in answers)
        for a in answers:
            if a.status != 200 or not a.complete:
                failed(a)


def forging(how, nonce=None):
    headers = [("x-receipt-nonce", nonce)] if nonce else []
    with Stack(worker_binary="forging-worker", env={"SEALGATE_TEST_FORGE": how}) as s:
        if how == "repeated":
            assert chat(s.port, "gpt-test", True).complete
        a = chat(s.port, "gpt-test", True, headers)
        broken(a)
        b = chat(s.port, "gpt-test", False, headers)
        assert b.status == 502 and b.complete, (b.status, b.body)
        assert b.error["type"] == "attestation_error", b.error
        assert b.header("x-should-retry") == "false"
        for answer in (a, b):
            lost = answer.header("x-receipt-id")
            assert lost is None or s.http("GET", f"/v1/receipts/{lost}").status == 404
        assert s.metric("sealgate_receipts_total", outcome="not_verified") >= 2


for _how, _sentence in (
        ("missing", "a missing receipt"), ("garbage", "a receipt that is none"),
        ("signature", "a receipt with a bad signature"), ("key", "a receipt signed by another key"),
        ("request-hash", "a receipt for another request"),
        ("response-hash", "a receipt for another answer"), ("id", "a receipt with another id"),
        ("old", "a receipt of yesterday"), ("future", "a receipt of tomorrow"),
        ("register", "a receipt with another register than its evidence"),
        ("platform", "a receipt of another platform than its evidence"),
        ("truncated", "a truncated receipt"), ("repeated", "an earlier answer's receipt")):
    test(f"{_sentence} never lets an answer look finished")(lambda how=_how: forging(how))


@test("a receipt with another nonce than the client's never lets an answer look finished")
def _():
    forging("nonce", "AAAAAAAAAAAAAAAAAAAAAA")


@test("the worker's stand-in gives good receipts when it is not told to forge")
def _():
    with Stack(worker_binary="forging-worker") as s:
        a = s.http("POST", "/v1/chat/completions", chat_body("gpt-test", True))
        assert a.complete and a.text() == TEXT
