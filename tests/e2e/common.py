"""What tests share: one stack per module, so that not each test starts programs; a receipt's check."""
import base64
import json
import time

import air
from stack import Stack

SHARED = {}


def shared(name, **settings):
    if name not in SHARED or not all(p.alive() for p in SHARED[name].programs()):
        SHARED.pop(name, None)
        SHARED[name] = Stack(**settings)
    return SHARED[name]


def finish(name):
    s = SHARED.pop(name, None)
    if s is not None:
        s.check()
        s.stop()


def receipt_of(s, answer):
    """(claims, the receipt's JSON view) of an answer, by its id."""
    r = s.http("GET", f"/v1/receipts/{answer.header('x-receipt-id')}").json
    raw = base64.b64decode(r["receipt"])
    claims = air.verify(raw, bytes.fromhex(r["signing_key"]))
    assert claims["cti"].hex() == answer.header("x-receipt-id") == r["id"]
    assert claims["security_mode"] == "evaluation"
    return claims, r


def check(s, body, answer):
    """An answer's receipt covers the exact bytes that were sent and received."""
    claims, r = receipt_of(s, answer)
    sent = json.dumps(body).encode() if isinstance(body, dict) else body
    assert claims["request_hash"] == air.digest(sent), "request_hash"
    got = bytes(answer.body)
    if answer.header("content-type").startswith("text/event-stream"):
        got = air.without_comments(got)
    assert claims["response_hash"] == air.digest(got), "response_hash"
    assert abs(claims["iat"] - time.time()) < 60
    return claims, r
