#!/usr/bin/env python3
"""Writes a language model in GGUF that is real in all but its weights, which are random.

    tests/suites/tiny_gguf.py OUT.gguf

A llama with one layer of 64 numbers and a vocabulary of printable characters: a few hundred KiB that
llama.cpp loads like any model. Its texts mean nothing, but they are texts: the first number of each
vector is a constant, by which the weights of the output make bytes and control tokens improbable, the
quotation mark likely, so that strings in constrained JSON come to their end, and likewise what begins a
call of a tool, and what ends a text.
"""
import random
import struct
import sys

LAYERS, WIDTH, HEADS, INNER, CONTEXT = 1, 64, 4, 128, 131072
NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
ALIGN = 32
CONSTANT = 4.0  # the first number of each embedding
# As models of the Hermes and Qwen families have it.
TEMPLATE = """\
{%- if tools %}<|im_start|>system
You may call these functions:
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
Answer with <tool_call>
{"name": NAME, "arguments": OBJECT}
</tool_call><|im_end|>
{% endif %}
{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content or '' }}
{%- for call in m.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def vocabulary():
    """(text, score, kind) of each token."""
    tokens = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    tokens += [(f"<0x{b:02X}>", 0.0, BYTE) for b in range(256)]
    tokens += [("<|im_start|>", 0.0, CONTROL), ("<|im_end|>", 0.0, CONTROL),
               ("<tool_call>\n", 0.0, USER), ("</tool_call>", 0.0, USER)]
    tokens += [(c, -1.0, NORMAL) for c in ["\u2581", *map(chr, range(33, 127))]]
    return tokens


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def one(kind, value):
    if kind == STRING:
        return string(value)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def entry(key, kind, value, of=None):
    head = string(key) + struct.pack("<I", kind)
    if kind != ARRAY:
        return head + one(kind, value)
    return head + struct.pack("<IQ", of, len(value)) + b"".join(one(of, v) for v in value)


def entries(tokens):
    texts, scores, kinds = zip(*tokens)
    return [
        entry("general.architecture", STRING, "llama"), entry("general.name", STRING, "tiny"),
        entry("general.alignment", U32, ALIGN), entry("llama.context_length", U32, CONTEXT),
        entry("llama.embedding_length", U32, WIDTH), entry("llama.block_count", U32, LAYERS),
        entry("llama.feed_forward_length", U32, INNER),
        entry("llama.attention.head_count", U32, HEADS),
        entry("llama.attention.head_count_kv", U32, HEADS),
        entry("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
        entry("llama.rope.dimension_count", U32, WIDTH // HEADS),
        entry("tokenizer.ggml.model", STRING, "llama"),
        entry("tokenizer.ggml.tokens", ARRAY, texts, STRING),
        entry("tokenizer.ggml.scores", ARRAY, scores, F32),
        entry("tokenizer.ggml.token_type", ARRAY, kinds, I32),
        entry("tokenizer.ggml.bos_token_id", U32, 1), entry("tokenizer.ggml.eos_token_id", U32, 2),
        entry("tokenizer.ggml.unknown_token_id", U32, 0),
        entry("tokenizer.ggml.add_space_prefix", BOOL, False),
        entry("tokenizer.chat_template", STRING, TEMPLATE),
    ]


def bias(text, kind):
    likely = {'"': 0.6, "<tool_call>\n": 0.1, "</s>": 0.3}
    return likely.get(text, 0.0 if kind == NORMAL else -3.0)


def tensors(tokens):
    """(name, sizes with the fastest first, numbers)"""
    dice = random.Random(1)

    def noise(n, by):
        return [dice.gauss(0, by) for _ in range(n)]

    out = [("token_embd.weight", (WIDTH, len(tokens)),
            [x for _ in tokens for x in [CONSTANT, *noise(WIDTH - 1, 1)]]),
           ("output_norm.weight", (WIDTH,), [1.0] * WIDTH),
           ("output.weight", (WIDTH, len(tokens)),
            [x for text, _, kind in tokens for x in [bias(text, kind), *noise(WIDTH - 1, 0.25)]])]
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            out.append((f"blk.{layer}.{name}.weight", (WIDTH,), [1.0] * WIDTH))
        for name, sizes in (("attn_q", (WIDTH, WIDTH)), ("attn_k", (WIDTH, WIDTH)),
                            ("attn_v", (WIDTH, WIDTH)), ("attn_output", (WIDTH, WIDTH)),
                            ("ffn_gate", (WIDTH, INNER)), ("ffn_up", (WIDTH, INNER)),
                            ("ffn_down", (INNER, WIDTH))):
            out.append((f"blk.{layer}.{name}.weight", sizes, noise(sizes[0] * sizes[1], 0.12)))
    return out


def padded(data):
    return data + bytes(-len(data) % ALIGN)


def model():
    tokens = vocabulary()
    facts, weights = entries(tokens), tensors(tokens)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(weights), len(facts)) + b"".join(facts)
    body = b""
    for name, sizes, numbers in weights:
        head += string(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, 0, len(body))
        body += padded(struct.pack(f"<{len(numbers)}f", *numbers))
    return padded(head) + body


if __name__ == "__main__":
    with open(sys.argv[1], "wb") as f:
        f.write(model())
