"""Tinfoil's Python package for EHBP at its door: ehbp_python.py alone|openai JSON.

"alone" uses the package's own client, "openai" its transport below OpenAI's package. JSON is what trial.py
writes; says "ok NAME" or "FAIL NAME: why" for each case.
"""
import base64
import concurrent.futures
import hmac
import json
import os
import pathlib
import re
import sys
import urllib.request

import ehbp
import httpx
import openai
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

WAY, AT = sys.argv[1], json.loads(sys.argv[2])
TEXT = "Hello from the engine, quetzal-answer-canary-5d1f ü🙂."
PATH = "/v1/chat/completions"


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def question(model, content="marmoset-prompt-canary-77c2", **more):
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


def identity_of(base):
    return ehbp.Client.discover(base).server_identity


class Alone:
    def __init__(self, base, identity):
        self.client = ehbp.Client(base, identity)
        self.seen = {}

    def whole(self, body):
        r = self.client.post(PATH, json_body=body)
        return r.status_code, r.json()

    def stream(self, body):
        sent = json.dumps({**body, "stream": True}).encode()
        self.seen.update(request=sent, response=b"")
        rest = b""
        with self.client.stream("POST", PATH, body=sent, headers={"content-type": "application/json"}) as r:
            for piece in r:
                self.seen["response"] += piece
                *lines, rest = (rest + piece).split(b"\n")
                yield from (json.loads(l[6:]) for l in lines if l.startswith(b"data: {"))


class Noting(httpx.SyncByteStream):
    """Keeps what goes by."""

    def __init__(self, inner, seen):
        self.inner, self.seen = inner, seen

    def __iter__(self):
        for piece in self.inner:
            self.seen["response"] += piece
            yield piece

    def close(self):
        self.inner.close()


class UnderOpenAI:
    def __init__(self, base, identity):
        inner = ehbp.EHBPTransport(identity)
        self.seen = seen = {}

        class Transport(httpx.BaseTransport):
            def handle_request(self, request):
                seen.update(request=request.read(), response=b"")
                answer = inner.handle_request(request)
                answer.stream = Noting(answer.stream, seen)
                return answer
        self.client = openai.OpenAI(base_url=base + "/v1", api_key="sk-test", max_retries=0,
                                    http_client=httpx.Client(transport=Transport()))

    def whole(self, body):
        try:
            return 200, self.client.chat.completions.create(**body).model_dump()
        except openai.APIStatusError as why:
            return why.status_code, {"error": why.body}

    def stream(self, body):
        for event in self.client.chat.completions.create(**body, stream=True):
            yield event.model_dump()


def through(base, identity=None):
    kind = {"alone": Alone, "openai": UnderOpenAI}[WAY]
    return kind(base, identity or identity_of(base))


def text_of(events):
    return "".join(c["delta"].get("content") or "" for e in events for c in e["choices"])


def is_done(events):
    return any(c["finish_reason"] for e in events for c in e["choices"])


def content(answer):
    return answer[1]["choices"][0]["message"]["content"]


def keep(name, request, response, receipt):
    for kind, data in (("request", request), ("response", response), ("receipt", receipt)):
        pathlib.Path(AT["folder"], f"{name}.{kind}").write_bytes(data)


def sealed_receipt(field, nonce, token):
    """Of an answer that is no stream: what opens the answer opens its receipt (PROTOCOL.md, section 12)."""
    prk = hmac.digest(token.request_enc + nonce, token.exported_secret, "sha256")
    key, start = (HKDFExpand(SHA256(), n, b"sealgate receipt " + what).derive(prk)
                  for n, what in ((32, b"key"), (12, b"nonce")))
    return AESGCM(key).decrypt(start, base64.urlsafe_b64decode(field + "=="), b"")


def whole_by_hand():
    """With the package's own parts, which show the session recovery token."""
    sent = json.dumps(question("gpt-test")).encode()
    sealed = identity_of(AT["relay"]).encrypt_request_body(sent)
    r = httpx.post(AT["relay"] + PATH, content=sealed.body, headers={
        "content-type": "application/json",
        ehbp.protocol.ENCAPSULATED_KEY_HEADER: sealed.encapsulated_key.hex()})
    nonce = bytes.fromhex(r.headers[ehbp.protocol.RESPONSE_NONCE_HEADER])
    receipt = sealed_receipt(r.headers["x-sealed-receipt"], nonce, sealed.token)
    keep("whole", sent, sealed.token.decrypt_response_body(nonce, r.content),
         base64.urlsafe_b64encode(receipt).rstrip(b"="))


def refused(what, kinds=(Exception,)):
    try:
        what()
    except Exception as why:  # OpenAI's package wraps what its transport raises
        assert isinstance(why, kinds) or isinstance(why.__cause__, kinds), repr(why)
        return
    raise AssertionError("it was taken for an answer")


def keys():
    assert len(identity_of(AT["relay"]).public_key_bytes()) == 32


def whole():
    assert content(through(AT["relay"]).whole(question("gpt-test"))) == TEXT
    if WAY == "alone":
        whole_by_hand()


def stream():
    c = through(AT["relay"])
    events = list(c.stream(question("gpt-test")))
    assert text_of(events) == TEXT and is_done(events), events
    response = c.seen["response"]
    found = re.search(rb"\ndata: \[DONE\]\n\n(?::~\.*\n\n)*: receipt (\S+)\n\n$", response)
    assert found, response[-300:]
    keep("stream", c.seen["request"], response, found[1])


def order():
    events, early = [], False
    for event in through(AT["relay"]).stream(question("gate-" + AT["name"])):
        events.append(event)
        if not early and text_of(events) == "Hello from":
            early = True
            get(f"{AT['engine']}/_release/{AT['name']}")
    assert early and text_of(events) == TEXT


def many():
    identity = identity_of(AT["relay"])

    def some(t):
        c = through(AT["relay"], identity)
        for i in range(3):
            assert text_of(c.stream(question("words-10-1"))).endswith("w9 ")
            assert content(c.whole(question(f"plain-{t}-{i}"))) == TEXT
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(some, range(4)))


def large():
    assert len(content(through(AT["relay"]).whole(question("big-1024", "x" * (3 << 20))))) == 1 << 20


def error():
    status, body = through(AT["relay"]).whole(question("err-429"))
    # OpenAI's package shows what is in the error object
    assert status == 429 and "rate_limit_exceeded" in json.dumps(body), body


def flipped():
    c = through(AT["flipped"])
    refused(lambda: c.whole(question("gpt-test")))
    refused(lambda: list(c.stream(question("gpt-test"))))


def cut():
    """The format has no end: what shows that it is missing is that the last event is."""
    c = through(AT["cut"])
    events = list(c.stream(question("words-50-1")))
    assert 0 < len(events) < 50 and not is_done(events)
    assert b"receipt" not in c.seen["response"] and b"DONE" not in c.seen["response"]


def other_key():
    model = "plain-other-" + AT["name"]
    c = through(AT["relay"], ehbp.ServerIdentity(bytes([9]) + os.urandom(30) + b"\0"))
    refused(lambda: c.whole(question(model)), (ehbp.KeyConfigMismatchError,))
    assert get(f"{AT['engine']}/_calls/{model}") == []


for case in (keys, whole, stream, order, many, large, error, flipped, cut, other_key):
    name = case.__name__.replace("_", "-")
    try:
        case()
        print(f"ok {name}", flush=True)
    except Exception as why:
        print(f"FAIL {name}: {type(why).__name__} {why}".replace("\n", " ")[:600], flush=True)
print("end")
