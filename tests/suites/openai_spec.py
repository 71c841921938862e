"""Writes an OpenAPI document of OpenAI's endpoints, from the types of the openai package.

    PYTHON openai_spec.py OUT.json

It is run with a Python that has the package. The published description itself is in no package
registry; the package's types are generated from it, so what a mock makes of this document is what
OpenAI's own clients expect, field by field. Files and what has no JSON form is left open.
"""
import importlib
import json
import sys
import typing

import pydantic
from pydantic.json_schema import GenerateJsonSchema

JSON, FORM, EVENTS = "application/json", "multipart/form-data", "text/event-stream"
BYTES = "application/octet-stream"

# method, path, type of the request, how it travels, type of the answer, type of a stream's events
OPERATIONS = [
    ("post", "/chat/completions", "chat.completion_create_params.CompletionCreateParams", JSON,
     "chat.ChatCompletion", "chat.ChatCompletionChunk"),
    ("get", "/chat/completions", "chat.completion_list_params.CompletionListParams", None,
     ["chat.ChatCompletion"], None),
    ("get", "/chat/completions/{id}", None, None, "chat.ChatCompletion", None),
    ("post", "/chat/completions/{id}", "chat.completion_update_params.CompletionUpdateParams", JSON,
     "chat.ChatCompletion", None),
    ("delete", "/chat/completions/{id}", None, None, "chat.ChatCompletionDeleted", None),
    ("get", "/chat/completions/{id}/messages", "chat.completions.message_list_params.MessageListParams",
     None, ["chat.ChatCompletionStoreMessage"], None),
    ("post", "/completions", "completion_create_params.CompletionCreateParams", JSON, "Completion",
     "Completion"),
    ("post", "/embeddings", "embedding_create_params.EmbeddingCreateParams", JSON,
     "CreateEmbeddingResponse", None),
    ("get", "/models", None, None, ["Model"], None),
    ("get", "/models/{id}", None, None, "Model", None),
    ("delete", "/models/{id}", None, None, "ModelDeleted", None),
    ("post", "/moderations", "moderation_create_params.ModerationCreateParams", JSON,
     "ModerationCreateResponse", None),
    ("post", "/images/generations", "image_generate_params.ImageGenerateParams", JSON, "ImagesResponse",
     "ImageGenStreamEvent"),
    ("post", "/images/edits", "image_edit_params.ImageEditParams", FORM, "ImagesResponse",
     "ImageEditStreamEvent"),
    ("post", "/images/variations", "image_create_variation_params.ImageCreateVariationParams", FORM,
     "ImagesResponse", None),
    ("post", "/audio/speech", "audio.speech_create_params.SpeechCreateParams", JSON, BYTES, None),
    ("post", "/audio/transcriptions", "audio.transcription_create_params.TranscriptionCreateParams",
     FORM, "audio.Transcription", "audio.TranscriptionStreamEvent"),
    ("post", "/audio/translations", "audio.translation_create_params.TranslationCreateParams", FORM,
     "audio.Translation", None),
    ("post", "/responses", "responses.response_create_params.ResponseCreateParams", JSON,
     "responses.Response", "responses.ResponseStreamEvent"),
    ("get", "/responses/{id}", "responses.response_retrieve_params.ResponseRetrieveParams", None,
     "responses.Response", "responses.ResponseStreamEvent"),
    ("delete", "/responses/{id}", None, None, None, None),
    ("post", "/responses/{id}/cancel", None, None, "responses.Response", None),
    ("get", "/responses/{id}/input_items", "responses.input_item_list_params.InputItemListParams", None,
     ["responses.ResponseItem"], None),
    ("post", "/responses/input_tokens", "responses.input_token_count_params.InputTokenCountParams",
     JSON, "responses.InputTokenCountResponse", None),
    ("post", "/responses/compact", "responses.response_compact_params.ResponseCompactParams", JSON,
     "responses.CompactedResponse", None),
]


class Lenient(GenerateJsonSchema):
    """What has no JSON form (files, bytes) may be anything."""
    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}

    def handle_invalid_for_json_schema(self, schema, error_info):
        return {}


class Document:
    def __init__(self):
        self.schemas = {}
        self.calls = 0

    def schema(self, kind):
        """Types of different modules have the same name, so each call has a prefix of its own."""
        self.calls += 1
        prefix = f"T{self.calls}."
        made = pydantic.TypeAdapter(kind).json_schema(
            ref_template="#/components/schemas/" + prefix + "{model}", schema_generator=Lenient)
        for name, one in made.pop("$defs", {}).items():
            self.schemas[prefix + name] = one
        return made

    def parts(self, kind):
        """A multipart body."""
        fields, required = self.fields(kind)
        return {"type": "object", "properties": fields, "required": sorted(required)}

    def query(self, kind):
        fields, required = self.fields(kind)
        return [{"name": name, "in": "query", "required": name in required, "schema": schema}
                for name, schema in fields.items()]

    def fields(self, kind):
        """The fields of all forms of a request, and those that each of them needs."""
        forms, fields = typing.get_args(kind) or (kind,), {}
        for form in forms:
            for name, hint in typing.get_type_hints(form).items():
                try:
                    fields.setdefault(name, {"anyOf": []})["anyOf"].append(self.schema(hint))
                except pydantic.errors.PydanticSchemaGenerationError:
                    fields[name]["anyOf"].append({})  # a file
        return fields, set.intersection(*(set(form.__required_keys__) for form in forms))

    def answer(self, kind, events):
        content = {}
        if isinstance(kind, list):
            content[JSON] = {"schema": page(self.schema(found(kind[0])))}
        elif kind == BYTES:
            content[BYTES] = {"schema": {"type": "string", "format": "binary"}}
        elif kind:
            content[JSON] = {"schema": self.schema(found(kind))}
        if events:
            content[EVENTS] = {"schema": self.schema(found(events))}
        return {"200": {"description": "ok", **({"content": content} if content else {})}}

    def operation(self, path, request, travels, answer, events):
        asked = found(request) if request else None
        one = {"parameters": [{"name": "id", "in": "path", "required": True,
                               "schema": {"type": "string"}}] if "{id}" in path else [],
               "responses": self.answer(answer, events)}
        if travels:
            body = self.schema(asked) if travels == JSON else self.parts(asked)
            one["requestBody"] = {"required": True, "content": {travels: {"schema": body}}}
        elif asked:
            one["parameters"] += self.query(asked)
        return one


def found(name):
    module, _, leaf = name.rpartition(".")
    holder = importlib.import_module("openai.types" + ("." + module if module else ""))
    return getattr(holder, leaf)


def page(item):
    return {"type": "object", "required": ["object", "data", "has_more", "first_id", "last_id"],
            "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": item},
                           "has_more": {"const": False}, "first_id": {"type": "string"},
                           "last_id": {"type": "string"}}}


def main(out):
    document, paths = Document(), {}
    for method, path, *rest in OPERATIONS:
        paths.setdefault("/v1" + path, {})[method] = document.operation(path, *rest)
    with open(out, "w", encoding="utf-8") as f:
        json.dump({"openapi": "3.1.0", "info": {"title": "OpenAI", "version": "0"}, "paths": paths,
                   "components": {"schemas": document.schemas}}, f)
    print(f"{len(OPERATIONS)} operations, {len(document.schemas)} schemas")


main(sys.argv[1])
