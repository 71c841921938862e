#!/usr/bin/env python3
"""The repository speaks of the product: of no machine it was written on, no package registry by its
host, and not of how or by whom it is developed."""
import pathlib
import re
import sys

RULES = [
    (r"(?<![\w.])/(work|root|home)/|/tmp/b-|/tmp/contract", "the path of one machine"),
    (r"\b(registry\.npmjs\.org|pypi\.org|pythonhosted\.org|proxy\.golang\.org|crates\.io|"
     r"rubygems\.org|docker\.io|ghcr\.io|quay\.io|deb\.debian\.org)\b", "a registry's host name"),
    (r"\b(Claude|Anthropic|ChatGPT|Copilot|Codex)\b", "a tool that writes code"),
    (r"(?i)\b(AI|machine)[- ](generated|written|assisted)\b|\bas an AI\b|"
     r"\b(sub-?agents?|co-?authored-by)\b", "how it is written"),
    (r"(?i)\b(the (user|owner) (asked|wants|wanted|fixed|said)|CONTRACT\.md|issues show|the brief\b"
     r"|(LINK|BASE|WIRE|CRYPTO|ATTEST|API|RECEIPTS) helper)", "how the work is shared out"),
    (r"\b(TODO|FIXME|XXX|HACK)\b(?!.*#\d)", "an open end without the number of its issue"),
]
SKIPPED = {".git", "node_modules", "__pycache__", "corpus", "build"}
BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a]")


def files(root):
    for path in sorted(root.iterdir()):
        if path.name in SKIPPED or path.name.startswith("build-") or path.is_symlink():
            continue
        if path.is_dir():
            yield from files(path)
        elif path.resolve() != pathlib.Path(__file__).resolve() and path.name != "check-speech.py":
            yield path


def main(root):
    bad = 0
    for path in files(root):
        data = path.read_bytes()
        if BINARY.search(data):
            continue
        for n, line in enumerate(data.decode(errors="replace").splitlines(), 1):
            for pattern, why in RULES:
                m = re.search(pattern, line)
                if m:
                    print(f"{path.relative_to(root)}:{n}: \"{m[0]}\" is {why}")
                    bad += 1
    return bad != 0


sys.exit(main(pathlib.Path(sys.argv[1])))
