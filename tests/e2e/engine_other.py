"""What the model server of the tests answers at endpoints that are not chat: by path, like an engine
that has audio, images, moderations, reranking and the messages API."""
import asyncio
import base64
import hashlib
import json

SOUND = bytes(range(256)) * 1200  # every byte, and more than a turn's worth


def seen(call):
    """What of an upload arrived."""
    return {"content_type": call.headers.get("content-type", ""), "length": len(call.body),
            "sha256": hashlib.sha256(call.body).hexdigest()}


async def speech(call):
    if call.json.get("stream_format") != "sse":
        call.whole(200, SOUND, "audio/mpeg")
        return
    call.head(200, [("content-type", "text/event-stream")])
    for i in range(0, 3):
        put(call, {"type": "speech.audio.delta", "audio": base64.b64encode(SOUND[i:i + 99]).decode()})
        await asyncio.sleep(0)
    put(call, {"type": "speech.audio.done", "usage": {"total_tokens": 3}})
    call.end()


async def upload(call):
    call.whole(200, {"text": "what was said", "seen": seen(call)})


async def image(call):
    call.whole(200, {"created": 1700000000, "seen": seen(call),
                     "data": [{"b64_json": base64.b64encode(SOUND[:999]).decode()}]})


async def moderation(call):
    call.whole(200, {"id": "modr-1", "model": call.model, "results": [
        {"flagged": False, "categories": {}, "category_scores": {}}]})


async def rerank(call):
    call.whole(200, {"object": "list", "data": [], "seen": call.json})


def put(call, data, name=None):
    lines = f"event: {name}\n" if name else ""
    call.put(f"{lines}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode())


MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "content": [],
           "stop_reason": None, "stop_sequence": None,
           "usage": {"input_tokens": 7, "output_tokens": 1}}
PIECES = ["Hel", "lo ü", "🙂"]


async def messages(call):
    whole = {**MESSAGE, "model": call.model}
    if call.model == "err-529":
        call.whole(529, {"type": "error", "error": {"type": "overloaded_error", "message": "later"}})
        return
    if not call.streams:
        call.whole(200, {**whole, "content": [{"type": "text", "text": "".join(PIECES)}],
                         "stop_reason": "end_turn"})
        return
    call.head(200, [("content-type", "text/event-stream; charset=utf-8")])
    events = [("message_start", {"message": whole}),
              ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
              ("ping", {})]
    events += [("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": p}})
               for p in PIECES]
    events += [("content_block_stop", {"index": 0}),
               ("message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None},
                                  "usage": {"output_tokens": 3}}),
               ("message_stop", {})]
    for name, more in events[:4] if call.model in ("cut", "early") else events:
        put(call, {"type": name, **more}, name)
        await asyncio.sleep(0.002)
    if call.model == "cut":
        call.cut()
        return
    call.end()


PATHS = {"/v1/audio/speech": speech, "/v1/audio/transcriptions": upload,
         "/v1/audio/translations": upload, "/v1/files": upload, "/v1/images/generations": image,
         "/v1/images/edits": image, "/v1/images/variations": image, "/v1/moderations": moderation,
         "/v1/rerank": rerank, "/v1/messages": messages}
