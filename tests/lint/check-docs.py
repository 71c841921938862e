#!/usr/bin/env python3
"""The documents are true of the tree: ARCHITECTURE.md's list of files, and every link, file and setting
that is named."""
import fnmatch
import pathlib
import re
import sys

FOLDERS = ("base", "crypto", "attest", "receipts", "wire", "api", "gateway", "enclave-worker", "cli")
NAMES_WIDTH = 25  # columns of the tree in which names stand


def tree(text):
    listed, folder = {}, None
    for line in text.split("<!-- tree:")[1].split("```")[1].strip("\n").splitlines():
        if line.startswith(" "):
            listed[folder] += line[:NAMES_WIDTH].split()
        else:
            folder = line.split("/")[0]
            listed[folder] = []
    return listed


def check_tree(root):
    listed = tree((root / "ARCHITECTURE.md").read_text())
    for folder in {*FOLDERS, *listed}:
        files = [p.name for p in (root / folder).glob("*")]
        if folder in FOLDERS:
            files = sorted({f[:-2] for f in files if f.endswith((".c", ".h"))})
            for name in files:
                if not any(fnmatch.fnmatch(name, p) for p in listed.get(folder, ())):
                    yield f"ARCHITECTURE.md: {folder}/{name} is not in the tree"
        for pattern in listed.get(folder, ()):
            if not fnmatch.filter(files, pattern):
                yield f"ARCHITECTURE.md: there is no {folder}/{pattern}"


def check_settings(root):
    table = "".join((root / f / "settings.c").read_text() for f in ("gateway", "enclave-worker"))
    readme = (root / "README.md").read_text().split("\n## Troubleshooting")[0]
    for name in re.findall(r"`([a-z]+_[a-z_]+)`", readme):
        if f"ROW({name})" not in table:
            yield f"README.md: {name} is no setting"


def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def check_names(root, doc):
    text = doc.read_text()
    for path, place in re.findall(r"\]\(([^:)\s#]*)#?([^:)\s]*)\)", text):
        if not (doc.parent / path).exists():
            yield f"{doc.name}: the link to {path} leads nowhere"
        elif place:
            there = (doc.parent / path).read_text() if path else text
            if place not in map(anchor, re.findall(r"^#+ (.*)", there, re.M)):
                yield f"{doc.name}: the link to #{place} leads nowhere"
    for name in re.findall(r"`((?:[\w.-]+/)*[\w-]+\.(?:c|h|py))`", text):
        if not any([*root.glob(name), *root.glob(f"*/{name}"), *root.glob(f"tests/*/{name}"),
                    *root.glob(f"tests/unit/*/{name}")]):
            yield f"{doc.name}: there is no {name}"


def main(root):
    faults = [*check_tree(root), *check_settings(root)]
    for doc in (*root.glob("*.md"), *(root / f / "README.md" for f in (*FOLDERS, "deploy"))):
        if not doc.exists():
            continue
        faults += check_names(root, doc)
    for fault in sorted(set(faults)):
        print(fault)
    return len(faults) > 0


sys.exit(main(pathlib.Path(sys.argv[1])))
