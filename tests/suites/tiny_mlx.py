#!/usr/bin/env python3
"""Writes the model of tiny_gguf.py as MLX reads it: a folder with safetensors and a tokenizer of bytes.

    tests/suites/tiny_mlx.py FOLDER
"""
import json
import pathlib
import struct
import sys

import tiny_gguf as tiny

SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
         "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
         "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj"}


def letters():
    """The character that byte-level tokenizers write each byte as."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return {b: chr(b) for b in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}


def vocabulary():
    tokens = [(text, 0.0, tiny.CONTROL) for text in SPECIAL]
    return tokens + [(c, 0.0, tiny.NORMAL if 32 <= b < 127 else tiny.BYTE)
                     for b, c in sorted(letters().items())]


def renamed(name):
    parts = name.removesuffix(".weight").split(".")
    layer = f"model.layers.{parts[1]}." if parts[0] == "blk" else ""
    return f"{layer}{NAMES[parts[-1]]}.weight"


def safetensors(weights):
    head, body = {}, b""
    for name, sizes, numbers in weights:
        data = struct.pack(f"<{len(numbers)}f", *numbers)
        head[renamed(name)] = {"dtype": "F32", "shape": list(reversed(sizes)),
                               "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + body


def tokenizer(tokens):
    return {"version": "1.0", "truncation": None, "padding": None, "normalizer": None,
            "added_tokens": [{"id": i, "content": text, "single_word": False, "lstrip": False,
                              "rstrip": False, "normalized": False, "special": True}
                             for i, text in enumerate(SPECIAL)],
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                              "use_regex": False},
            "post_processor": None, "decoder": {"type": "ByteLevel", "add_prefix_space": False,
                                                "trim_offsets": True, "use_regex": False},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False,
                      "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "byte_fallback": False, "merges": [],
                      "vocab": {text: i for i, (text, _, _) in enumerate(tokens)}}}


def main(folder):
    tokens = vocabulary()
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"],
              "hidden_size": tiny.WIDTH, "num_hidden_layers": tiny.LAYERS,
              "intermediate_size": tiny.INNER, "num_attention_heads": tiny.HEADS,
              "num_key_value_heads": tiny.HEADS, "rms_norm_eps": 1e-5, "vocab_size": len(tokens),
              "rope_theta": 10000.0, "max_position_embeddings": tiny.CONTEXT, "bos_token_id": 0,
              "eos_token_id": 1, "tie_word_embeddings": False, "torch_dtype": "float32"}
    named = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
             "chat_template": tiny.TEMPLATE, "model_max_length": tiny.CONTEXT,
             "clean_up_tokenization_spaces": False}
    (folder / "model.safetensors").write_bytes(safetensors(tiny.tensors(tokens)))
    for name, what in (("config", config), ("tokenizer", tokenizer(tokens)),
                       ("tokenizer_config", named)):
        (folder / f"{name}.json").write_text(json.dumps(what, ensure_ascii=False))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
