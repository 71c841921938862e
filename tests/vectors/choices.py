#!/usr/bin/env python3
"""Where published vectors leave an outcome to the implementation, attest/README.md has the choice, the
verifiers make it, and nothing else is in that table.

    choices.py README.md FOLDER VEC_PROGRAM...     FOLDER/SET for vec_attest_SET

Exit status 77 when the vectors are missing.
"""
import json
import pathlib
import re
import subprocess
import sys

OPEN = "implementation-defined"


def documented(text):
    table = text.split("<!-- choices -->")[1].split("<!-- end of choices -->")[0]
    rows = [[c.strip() for c in line.strip("|\n ").split("|")] for line in table.strip().splitlines()]
    return {(r[0], r[1]): r[2] for r in rows[2:] if len(r) == 4 and r[3]}, len(rows) - 2


def left_open(folder, name):
    """The names of the cases, with their list's name where a file has several."""
    root = json.loads((folder / name / "cases.json").read_text())
    lists = {k: v for k, v in root.items() if isinstance(v, list) and v and isinstance(v[0], dict)}
    for key, cases in lists.items():
        for case in cases:
            if OPEN in (case.get("expect"), case.get("outcome")):
                yield case["id"] if key == "cases" else f"{key}: {case['id']}"


def made(program, folder, name):
    done = subprocess.run([program, folder / name], stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
        found = re.fullmatch(r"CHOICE [^:]+: (.*): ([^:]+)", line)
        if found:
            yield found.groups()


def compare(said, stated, did):
    for key in sorted(stated.keys() | said.keys()):
        if key not in stated:
            yield f"{key}: the vectors leave nothing open"
        elif key not in said:
            yield f"{key}: not in the table"
        elif said[key] != did.get(key):
            yield f"{key}: the table says {said[key]}, the verifier {did.get(key)}"


def main(readme, folder, *programs):
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        print(f"SKIPPED: no vectors in {folder}")
        return 77
    said, rows = documented(pathlib.Path(readme).read_text())
    stated, did = {}, {}
    for program in programs:
        name = re.sub(r".*vec_attest_", "", program)
        stated.update({(name, case): True for case in left_open(folder, name)})
        did.update({(name, case): outcome for case, outcome in made(program, folder, name)})
    faults = [*compare(said, stated, did)]
    if rows != len(said):
        faults.append("a row of the table is not read")
    # The comparison itself sees what is missing, what is too much, and what is not so.
    first = next(iter(said), None)
    less = {k: v for k, v in said.items() if k != first}
    for other in (less, {**said, ("x", "y"): "accept"}, {**said, first: "otherwise"}):
        if not [*compare(other, stated, did)]:
            faults.append("the comparison is blind")
    print("\n".join(faults) or f"{len(said)} choices agree")
    return len(faults) > 0


sys.exit(main(*sys.argv[1:]))
