"""What operators expect: traces, several engines, keys with rules, usage"""
import hashlib
import http.server as http_server
import json
import pathlib
import shutil
import signal
import tempfile
import threading

import common
from client import PROMPT_CANARY, chat, chat_body, http, wait_for
from engine import ANSWER_CANARY, Engine
from stack import Stack
from suite import test

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def stack():
    return common.shared("operators")


def key_line(token, name=""):
    return f"{hashlib.sha256(token.encode()).hexdigest()} {name}".strip() + "\n"


def bearer(token):
    return [("authorization", f"Bearer {token}")]


def finish():
    common.finish("operators")


def seen(answer):
    """What the engine's script "echo" was sent."""
    assert answer.status == 200, answer.body
    return json.loads(answer.json["choices"][0]["message"]["content"])


@test("a trace goes through to the engine, written as the standard says")
def _():
    got = seen(chat(stack().port, "echo", headers=[("traceparent", PARENT), ("tracestate", "a=b"),
                                                   ("TraceState", "c=d")]))["headers"]
    assert got["traceparent"] == PARENT and got["tracestate"] == "a=b,c=d", got


@test("what is no trace goes nowhere, and without one none is made")
def _():
    for headers in ([], [("traceparent", "00-junk-01"), ("tracestate", "a=b")],
                    [("traceparent", PARENT), ("traceparent", PARENT)]):
        got = seen(chat(stack().port, "echo", headers=headers))["headers"]
        assert "traceparent" not in got and "tracestate" not in got, got


@test("every answer has a request id, a version and its time, once each; the engine gets the id")
def _():
    s = stack()
    answers = [chat(s.port, "echo"), chat(s.port, "gpt-test", stream=True), chat(s.port, "err-429"),
               http(s.port, "GET", "/v1/models"), http(s.port, "GET", "/v1/receipts/none"),
               http(s.port, "GET", "/nowhere"), http(s.port, "GET", "/healthz")]
    for a in answers:
        assert len(a.all("x-request-id")) == 1 and a.all("openai-version") == ["2020-10-01"], a.headers
        assert len(a.all("openai-processing-ms")) == 1 and int(a.header("openai-processing-ms")) >= 0
    assert seen(answers[0])["headers"]["x-request-id"] == answers[0].header("x-request-id")


# ---- several engines ----

class Collector:
    """Takes spans as an OpenTelemetry collector does; `answer` is the status it gives."""

    def __init__(self, answer=200):
        self.spans, self.raw, self.posts = [], b"", 0
        outer = self

        class Handler(http_server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.posts += 1
                outer.raw += body
                if self.path == "/v1/traces" and self.headers["content-type"] == "application/json":
                    for r in json.loads(body)["resourceSpans"]:
                        for scope in r["scopeSpans"]:
                            outer.spans += scope["spans"]
                self.send_response(answer)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http_server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def attributes(span):
    return {a["key"]: a["value"].get("stringValue", a["value"].get("intValue"))
            for a in span["attributes"]}


class Two(Stack):
    """A worker before two engines: what one does not know, the other does."""

    def __init__(self, **settings):
        self.other = Engine()
        super().__init__(start_gateway=False, **settings)
        for w in self.workers:
            w.stop()
        path = self.write("engines.yaml", f"""
engines:
  - name: one
    url: {self.engine.url}
    models: [echo, err-500]
    aliases: {{gpt-4o: echo}}
  - name: two
    url: {self.other.url}/v1
    models: [gpt-test, "words-*"]
    aliases: {{"gpt/5": gpt-test}}
""")
        self.worker_settings.pop("engine")
        self.worker_settings["engines"] = path
        self.workers = [self.start_worker(i) for i in range(len(self.ports))]
        self.start_gateway()
        self.wait_ready()

    def abandon(self):
        super().abandon()
        self.other.close()


@test("the model's name chooses the engine, and an alias is rewritten on the way and nothing else")
def _():
    with Two() as s:
        answer = chat(s.port, "gpt-4o", n=1)
        sent = json.dumps(chat_body("gpt-4o", n=1))
        assert seen(answer)["body"] == sent.replace('"gpt-4o"', '"echo"')
        receipt = http(s.port, "GET", answer.header("x-receipt-url")).json
        assert receipt["claims"]["request_hash_hex"] == hashlib.sha256(sent.encode()).hexdigest()
        assert receipt["claims"]["model_id"] == "gpt-4o", receipt["claims"]
        for model in ("gpt-test", "gpt/5", "words-3-1"):
            a = chat(s.port, model, stream=True)
            assert a.status == 200 and a.events()[-1] == "[DONE]"
        assert [c.model for c in s.other.calls] == ["gpt-test", "gpt-test", "words-3-1"]
        assert [c.model for c in s.engine.calls] == ["echo"]


@test("a model that no engine serves is OpenAI's 404, and the list of models is that of all")
def _():
    with Two() as s:
        a = chat(s.port, "nobody")
        assert a.status == 404 and a.error["code"] == "model_not_found" and "nobody" in a.error["message"]
        assert a.error["type"] == "invalid_request_error"
        names = [m["id"] for m in http(s.port, "GET", "/v1/models").json["data"]]
        assert names == ["echo", "err-500", "gpt-4o", "gpt-test", "gpt/5"], names
        one = http(s.port, "GET", "/v1/models/gpt%2F5").json
        assert one["id"] == "gpt/5" and one["object"] == "model" and one["owned_by"] == "two"
        assert http(s.port, "GET", "/v1/models/words-1-1").json["id"] == "words-1-1"
        a = http(s.port, "GET", "/v1/models/none")
        assert a.status == 404 and a.error["code"] == "model_not_found"
        assert not s.engine.calls and not s.other.calls


# ---- prompt caches ----

@test("the salt of an engine's prompt cache is the caller's, whatever he writes there")
def _():
    with Stack(start_gateway=False) as s:
        s.workers[0].stop()
        s.worker_settings.update(cache_salt=True, tokens_file=s.write(
            "tokens", key_line("a", "alice") + key_line("a2", "alice") + key_line("b")))
        s.workers = [s.start_worker(0)]
        s.start_gateway()
        s.wait_ready()

        def salt(token, **more):
            got = seen(chat(s.port, "echo", headers=bearer(token), **more))["body"]
            assert got.count("cache_salt") == 1, got
            return json.loads(got)["cache_salt"]
        assert salt("a") == salt("a", cache_salt="mine") == salt("a2", cache_salt=[1])
        assert salt("b", cache_salt=salt("a")) not in (salt("a"), "mine")
        http(s.port, "POST", "/v1/responses", {"model": "gpt-test", "input": "hi",
                                               "cache_salt": "mine"}, bearer("a"))
        assert s.engine.calls[-1].json["cache_salt"] == salt("a"), s.engine.calls[-1].body


# ---- keys with rules ----

LIMITS = ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
          "x-ratelimit-reset-requests", "x-ratelimit-limit-tokens",
          "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]


def rules(token, **more):
    return json.dumps({"sha256": hashlib.sha256(token.encode()).hexdigest(), **more}) + "\n"


def with_keys(where, text, **settings):
    """A stack whose worker or gateway has these keys."""
    folder = tempfile.mkdtemp(prefix="sealgate-e2e-keys-")
    path = pathlib.Path(folder) / "tokens"
    path.write_text(text)
    s = Stack(ready=False, **{where: {"tokens_file": str(path), **settings}})
    s.wait_ready()
    shutil.rmtree(folder)
    return s


KEYS = (rules("few", name="few", requests_per_minute=3) +
        rules("tokens", name="tokens", tokens_per_minute=30) +
        rules("one", name="one", concurrency=1) +
        rules("models", name="models", models=["gpt-test", "words-*"]) + key_line("free", "free"))


def check_keys(s):
    few, free = bearer("few"), bearer("free")
    a = chat(s.port, "gpt-test", headers=few)
    assert [a.header(n) for n in LIMITS[:2]] == ["3", "2"] and a.all(LIMITS[3]) == [], a.headers
    assert a.header(LIMITS[2]).endswith("s")
    assert chat(s.port, "gpt-test", stream=True, headers=few).header(LIMITS[1]) == "1"
    assert chat(s.port, "err-429", headers=few).header(LIMITS[1]) == "0"
    asked = len(s.engine.calls)
    a = chat(s.port, "gpt-test", headers=few)
    assert a.status == 429 and a.error["code"] == "rate_limit_exceeded"
    assert a.error["type"] == "rate_limit_error" and 1 <= int(a.header("retry-after")) <= 60
    assert a.header(LIMITS[1]) == "0" and len(s.engine.calls) == asked
    assert http(s.port, "GET", "/v1/models", headers=few).status == 200
    a = chat(s.port, "gpt-test", headers=free)
    assert a.status == 200 and not [n for n in LIMITS if a.header(n)]


def check_tokens(s):
    """17 tokens an answer, of which a stream says nothing unless it is asked."""
    a = chat(s.port, "gpt-test", headers=bearer("tokens"))
    assert [a.header(n) for n in LIMITS[3:5]] == ["30", "30"], a.headers
    a = chat(s.port, "gpt-test", stream=True, headers=bearer("tokens"))
    assert a.status == 200 and 13 <= int(a.header(LIMITS[4])) < 20, a.headers
    assert not [c for c in a.chunks() if not c["choices"]], "a usage that nobody asked for"
    a = chat(s.port, "gpt-test", headers=bearer("tokens"))
    assert a.status == 429 and a.header(LIMITS[4]) == "0", (a.status, a.headers)


def check_concurrency(s):
    with s.conn() as c:
        c.ask("POST", "/v1/chat/completions", chat_body("gate-x", True), bearer("one"))
        assert chat(s.port, "gpt-test", headers=bearer("one")).status == 429
        assert chat(s.port, "gpt-test", headers=bearer("free")).status == 200
    wait_for(lambda: chat(s.port, "gpt-test", headers=bearer("one")).status == 200)


def check_models(s):
    assert chat(s.port, "words-1-1", stream=True, headers=bearer("models")).status == 200
    asked = len(s.engine.calls)
    a = chat(s.port, "tools", headers=bearer("models"))
    assert a.status == 403 and a.error["code"] == "model_not_allowed", a.body
    a = http(s.port, "POST", "/v1/rerank", {"query": "x"}, bearer("models"))
    assert a.status == 403 and len(s.engine.calls) == asked
    a = http(s.port, "DELETE", "/v1/models/to%6Fls", headers=bearer("models"))
    assert a.status == 403 and len(s.engine.calls) == asked, a.body
    http(s.port, "DELETE", "/v1/models/gpt-test", headers=bearer("models"))
    assert len(s.engine.calls) == asked + 1 and s.engine.calls[asked].method == "DELETE"


@test("a worker's keys have their limits, with OpenAI's fields and 429")
def _():
    with with_keys("worker", KEYS) as s:
        check_keys(s)
        check_tokens(s)
        check_concurrency(s)
        check_models(s)


@test("a gateway's keys have theirs, and what they used is in its metrics")
def _():
    with with_keys("gateway", KEYS, shards=2) as s:
        check_keys(s)
        check_concurrency(s)
        check_models(s)
        # A stream that does not ask for its usage is counted by events, the request by its bytes.
        a = chat(s.port, "gpt-test", headers=bearer("tokens"))
        assert [a.header(n) for n in LIMITS[3:5]] == ["30", "30"], a.headers

        # What is asked next may come to another shard, before this one has written what it came to.
        def used_at_rest():
            page = http(s.port, "GET", "/metrics", headers=bearer("free")).body.decode()
            found = {line.split(" ")[0]: float(line.split(" ")[1]) for line in page.splitlines()
                     if line.startswith("sealgate_key_")}
            return found if not any(v for k, v in found.items() if "in_flight" in k) else None
        wait_for(used_at_rest)
        a = chat(s.port, "gpt-test", stream=True, headers=bearer("tokens"))
        assert a.status == 200 and 13 <= int(a.header(LIMITS[4])) < 20, a.headers
        wait_for(used_at_rest)
        assert chat(s.port, "gpt-test", headers=bearer("tokens")).status == 429
        used = wait_for(used_at_rest)
        assert used['sealgate_key_requests_total{key="tokens"}'] == 2
        assert used['sealgate_key_refused_total{key="tokens"}'] == 1
        assert used['sealgate_key_estimated_total{key="tokens"}'] == 1
        assert used['sealgate_key_tokens_total{key="tokens",type="output"}'] >= 10 + 11


@test("a stream that its client left is paid for as far as it went")
def _():
    with with_keys("gateway", rules("gone", name="gone", tokens_per_minute=100000)) as s:
        with s.conn() as c:
            a = c.ask("POST", "/v1/chat/completions", chat_body("endless", True), bearer("gone"))
            while len(a.body) < 2000:
                c.chunk(a)
        name = 'sealgate_key_tokens_total{key="gone",type="output"}'

        def output():
            page = http(s.port, "GET", "/metrics", headers=bearer("gone")).body.decode()
            return float(page.split(name)[1].split("\n")[0])
        wait_for(lambda: output() >= 5)


@test("a gateway reads its keys anew on SIGHUP, or keeps them all, and nobody starts afresh")
def _():
    with Stack(start_gateway=False) as s:
        path = s.write("tokens", rules("a", name="alice", requests_per_minute=5) + key_line("old"))
        s.gateway_settings.update(tokens_file=path, shards=2)
        s.start_gateway()
        s.wait_ready()

        def status(token):
            return chat(s.port, "gpt-test", headers=bearer(token)).status

        def reload(text, line):
            lines = s.gateway.log.count(line)
            s.write("tokens", text)
            s.gateway.signal(signal.SIGHUP)
            wait_for(lambda: s.gateway.log.count(line) > lines)
        with s.conn() as c:
            c.ask("POST", "/v1/chat/completions", chat_body("gate-r", True), bearer("old"))
            for _ in range(2):
                assert status("a") == 200
            reload(rules("a", name="alice", requests_per_minute=3) + key_line("new"),
                   "keys read anew")
            wait_for(lambda: status("old") == 401 and status("new") == 200)
            wait_for(lambda: status("old") == 401 and status("old") == 401)
            assert [status("a") for _ in range(4)][-2:] == [429, 429]
            reload("nonsense", "the keys of before stay")
            assert status("new") == 200 and status("old") == 401
            s.engine.release["r"] = True


# ---- usage ----

@test("a line for each request says what it came to, also of one that was left")
def _():
    with Stack(gateway={"usage_log": "usage.jsonl", "shards": "1"}) as s:
        chat(s.port, "gpt-test")
        chat(s.port, "gpt-test", stream=True, stream_options={"include_usage": True})
        chat(s.port, "err-500")
        http(s.port, "POST", "/v1/embeddings", {"model": "gpt-test", "input": "x"})
        with s.conn() as c:
            a = c.ask("POST", "/v1/chat/completions", chat_body("endless", True))
            while len(a.body) < 1000:
                c.chunk(a)
        path = pathlib.Path(s.folder) / "usage.jsonl"
        wait_for(lambda: len(path.read_text().splitlines()) == 5)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        got = [(x["operation"], x["status"], x["input_tokens"], x["output_tokens"], x["estimated"])
               for x in lines]
        assert got[:4] == [("chat", 200, 7, 10, False), ("chat", 200, 7, 10, False),
                           ("chat", 500, 0, 0, False), ("embeddings", 200, 3, 0, False)], got
        assert got[4][:2] == ("chat", 499) and got[4][3] >= 3 and got[4][4] is True, got
        assert all(x["key"] is None and x["request"].startswith("req_") for x in lines)
        assert s.metric("gen_ai_client_operation_duration_seconds_count",
                        gen_ai_operation_name="chat", error_type="") == 2
        assert s.metric("gen_ai_client_operation_duration_seconds_count", error_type="499") == 1
        assert s.metric("gen_ai_client_token_usage_sum", gen_ai_operation_name="embeddings",
                        gen_ai_token_type="input") == 3


@test("the Responses API has its aliases, salts, limits and usage like any other")
def _():
    with Two() as s:
        a = http(s.port, "POST", "/v1/responses", {"model": "gpt-4o", "input": "hi"})
        assert a.status == 200, a.body
        assert [(c.path, c.model) for c in s.engine.calls][-1] == ("/v1/chat/completions", "echo")
        a = http(s.port, "POST", "/v1/responses", {"model": "nobody", "input": "hi"})
        assert a.status == 404 and a.error["code"] == "model_not_found"
    with with_keys("gateway", KEYS, usage_log="usage.jsonl", shards=1) as s:
        for stream in (False, True):
            a = http(s.port, "POST", "/v1/responses", {"model": "gpt-test", "input": "hi",
                                                       "stream": stream}, bearer("few"))
            assert a.status == 200 and a.header(LIMITS[0]) == "3", a.body
        path = pathlib.Path(s.folder) / "usage.jsonl"
        wait_for(lambda: len(path.read_text().splitlines()) == 2)
        for x in map(json.loads, path.read_text().splitlines()):
            assert (x["operation"], x["key"], x["input_tokens"], x["output_tokens"], x["estimated"]) \
                == ("chat", "few", 7, 10, False), x


@test("a worker that is told to keeps such a log as well, and tells nobody else")
def _():
    with with_keys("worker", KEYS, usage_log="usage.jsonl") as s:
        chat(s.port, "gpt-test", headers=bearer("few"))
        chat(s.port, "gpt-test", stream=True, headers=bearer("free"))
        chat(s.port, "no-done", stream=True, headers=bearer("free"))
        chat(s.port, "err-500", headers=bearer("free"))
        path = pathlib.Path(s.folder) / "usage.jsonl"
        wait_for(lambda: len(path.read_text().splitlines()) == 4)
        got = [(x["key"], x["status"], x["input_tokens"], x["output_tokens"], x["estimated"])
               for x in map(json.loads, path.read_text().splitlines())]
        assert got[:2] == [("few", 200, 7, 10, False), ("free", 200, 7, 10, False)], got
        assert got[3] == ("free", 500, 0, 0, False), got
        for text in (s.workers[0].log, s.gateway.log):
            assert '"few"' not in text and '"free"' not in text


# ---- in the background ----

def lines_of(s):
    path = pathlib.Path(s.folder) / "usage.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def in_background(s, model, key):
    return http(s.port, "POST", "/v1/responses", {"model": model, "input": "hi", "background": True},
                bearer(key))


def queued(s, model, key):
    a = in_background(s, model, key)
    assert a.status == 200 and a.json["status"] == "queued", a.body
    return "/v1/responses/" + a.json["id"]


def is_free(s, key):
    return chat(s.port, "gpt-test", headers=bearer(key)).status == 200


@test("at a worker, what a key has made in the background holds its place and is paid for at its end")
def _():
    with with_keys("worker", KEYS, usage_log="usage.jsonl") as s:
        path = queued(s, "gate-behind", "one")
        for _ in range(3):
            assert not is_free(s, "one") and is_free(s, "free")
            assert http(s.port, "GET", path, headers=bearer("one")).json["status"] != "completed"
        assert in_background(s, "gpt-test", "one").status == 429
        s.engine.release["behind"] = True
        wait_for(lambda: is_free(s, "one"))
        behind = [x for x in lines_of(s) if x["background"]]
        assert [(x["key"], x["route"], x["status"], x["input_tokens"] > 0, x["output_tokens"] > 0)
                for x in behind] == [("one", "responses", 200, True, True)], behind
        # Called off or deleted: the same, with what was counted until then.
        for n, (method, what) in enumerate([("POST", "/cancel"), ("DELETE", "")]):
            path = queued(s, "endless", "one")
            assert not is_free(s, "one")
            assert http(s.port, method, path + what, headers=bearer("one")).status == 200
            wait_for(lambda: is_free(s, "one"))
            behind = [x for x in lines_of(s) if x["background"]]
            assert len(behind) == n + 2 and behind[-1]["estimated"], behind
        # 17 tokens each; a stream that is left is made to its end.
        with s.conn() as c:
            a = c.ask("POST", "/v1/responses", {"model": "gate-left", "input": "hi", "stream": True,
                                                "background": True}, bearer("tokens"))
            c.chunk(a)
        s.engine.release["left"] = True
        wait_for(lambda: [x for x in lines_of(s) if x["key"] == "tokens"])
        queued(s, "gpt-test", "tokens")
        wait_for(lambda: len([x for x in lines_of(s) if x["key"] == "tokens"]) == 2)
        a = chat(s.port, "gpt-test", headers=bearer("tokens"))
        assert a.status == 429 and a.header(LIMITS[4]) == "0", (a.status, a.headers)


@test("what could not be counted in the background is refused to limited keys, and nothing is asked")
def _():
    def check(s):
        for key in ("one", "tokens"):
            asked = len(s.engine.calls)
            a = in_background(s, "gpt-test", key)
            assert a.status == 400 and a.error["code"] == "unsupported_parameter", a.body
            assert a.error["param"] == "background" and len(s.engine.calls) == asked
            assert is_free(s, key)
    with with_keys("gateway", KEYS, usage_log="usage.jsonl", shards=1) as s:
        check(s)
        path = queued(s, "gpt-test", "few")
        want = [("one", 400), ("tokens", 400), ("few", 200)]
        wait_for(lambda: [(x["key"], x["status"]) for x in lines_of(s) if x["background"]] == want)
        # What an answer says of tokens is said again to whoever asks for it again, and not paid again.
        lines = len(lines_of(s))
        wait_for(lambda: http(s.port, "GET", path, headers=bearer("few")).json["usage"] is not None)
        wait_for(lambda: len(lines_of(s)) > lines and not lines_of(s)[-1]["background"])
        assert not any(x["input_tokens"] + x["output_tokens"] for x in lines_of(s)[lines:]), lines_of(s)
    with with_keys("worker", KEYS, responses="native") as s:
        check(s)


# ---- traces ----

@test("a collector gets a span for each request, between the client's and the engine's")
def _():
    collector = Collector()
    try:
        with Stack(gateway={"otlp": collector.url, "shards": "1"}) as s:
            got = seen(chat(s.port, "echo", headers=[("traceparent", PARENT), ("tracestate", "a=b")]))
            sent = got["headers"]["traceparent"].split("-")
            assert sent[1] == PARENT.split("-")[1] and sent[2] != PARENT.split("-")[2]
            assert got["headers"]["tracestate"] == "a=b"
            a = chat(s.port, "gpt-test", stream=True)
            made = seen(chat(s.port, "echo"))["headers"]["traceparent"]
            chat(s.port, "err-500")
            assert "traceparent" in seen(chat(s.port, "echo", headers=[
                ("traceparent", PARENT[:-2] + "00")]))["headers"]
            wait_for(lambda: len(collector.spans) >= 4)
            first, second, third, failed = collector.spans
            assert first["traceId"] == PARENT.split("-")[1] and first["spanId"] == sent[2]
            assert first["parentSpanId"] == PARENT.split("-")[2] and first["kind"] == 2
            assert "parentSpanId" not in third and made.split("-")[1:3] == [third["traceId"],
                                                                             third["spanId"]]
            x = attributes(second)
            assert x["gen_ai.operation.name"] == "chat" and x["http.response.status_code"] == "200"
            assert x["sealgate.request_id"] == a.header("x-request-id")
            assert int(x["gen_ai.usage.output_tokens"]) >= 10
            assert int(second["startTimeUnixNano"]) < int(second["endTimeUnixNano"])
            assert failed["status"] == {"code": 2} and attributes(failed)["error.type"] == "5xx"
        assert len(collector.spans) == 4, "a span that was not to be sampled"
        for canary in (PROMPT_CANARY, ANSWER_CANARY):
            assert canary.encode() not in collector.raw
    finally:
        collector.close()


@test("a collector that takes nothing, or is not there, holds nobody up")
def _():
    collector = Collector(503)
    try:
        for url in (collector.url, "http://127.0.0.1:9"):
            with Stack(gateway={"otlp": url}) as s:
                for _ in range(5):
                    assert chat(s.port, "gpt-test").status == 200
                wait_for(lambda: s.metric("sealgate_spans_dropped") >= 5)
    finally:
        collector.close()
