#!/usr/bin/env python3
"""A folder may include itself and folders of a strictly lower level; a library's header, only where
it is at home, and never in a header of ours, so that no type of it can leak."""
import pathlib
import re
import sys

LEVEL = {"base": 0, "crypto": 1, "attest": 2, "receipts": 2, "wire": 2, "api": 2,
         "gateway": 3, "enclave-worker": 3, "cli": 3, "tests": 4}
# A folder of a lower level that is nevertheless out of bounds: there are no keys in api.
NEVER = {("api", "crypto")}
HOME = {"uv.h": {"base"}, "jansson": {"base"}, "cbor": {"base"}, "yaml": {"base"},
        "sodium": {"crypto"}, "openssl/": {"crypto"}, "sqlite3": {"receipts"},
        "nghttp2/": {"wire"}, "microhttpd": {"gateway"},
        "curl/": {"base", "gateway", "enclave-worker", "cli"},
        "pthread": {"base", "gateway", "receipts", "enclave-worker"},
        "stdatomic": {"base", "gateway", "receipts", "enclave-worker"}}
# Parts of the C library: they may stand in a header.
NATIVE = {"pthread", "stdatomic"}
# Headers that only one module's own files include, and that share a library's types between them.
PRIVATE = {"base/loop_private.h": "the files of base/loop",
           "gateway/front_private.h": "the files of gateway/front"}
# Files that must have no way to a key, and what they may not include.
KEYLESS = re.compile(r"gateway/(relay|quota)")
KEYS = ("crypto/hpke", "crypto/kem", "crypto/aead", "crypto/sign", "crypto/cose", "wire/ohttp",
        "attest/", "receipts/", "gateway/seal", "gateway/exchange", "gateway/trust",
        "gateway/shard.h", "gateway/pool")


def faults_of(include, quote, here, path):
    there = include.split("/")[0]
    if quote == '"':
        if there not in LEVEL or "/" not in include:
            yield f'"{include}" is not written from the root of the repository'
        elif there != here and (LEVEL[there] >= LEVEL[here] or (here, there) in NEVER):
            yield f"{here} (level {LEVEL[here]}) may not include {include}"
        elif KEYLESS.match(path) and include.startswith(KEYS):
            yield f"{include}: a relay has no way to a key"
        elif include in PRIVATE and not path.startswith(include.split("_private")[0]):
            yield f"{include} is for {PRIVATE[include]}"
        return
    for lib, homes in HOME.items() if here != "tests" else ():
        if include.startswith(lib) and here not in homes:
            yield f"<{include}> belongs in {'/'.join(sorted(homes))}"
        elif include.startswith(lib) and lib not in NATIVE and path.endswith(".h") \
                and path not in PRIVATE:
            yield f"<{include}> in a header; keep its types in a .c file"


def main(root):
    bad = 0
    for path in sorted(p for d in LEVEL for p in (root / d).rglob("*.[ch]")):
        name = path.relative_to(root)
        for n, line in enumerate(path.read_text().splitlines(), 1):
            m = re.match(r'\s*#\s*include\s+([<"])([^>"]+)', line)
            for fault in faults_of(m[2], m[1], name.parts[0], str(name)) if m else ():
                print(f"{name}:{n}: {fault}")
                bad += 1
    return bad != 0


sys.exit(main(pathlib.Path(sys.argv[1])))
