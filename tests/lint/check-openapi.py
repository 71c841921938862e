#!/usr/bin/env python3
"""openapi.yaml and the table in api/route.c have the same paths and methods."""
import pathlib
import re
import sys

# Rows of the table that stand for no path of their own: what is refused, what is only passed on.
NOT_DESCRIBED = {"/v1/*", "/v1/receipts", "/v1/attestation/*"}


def table(text):
    rows = re.findall(r'\{ ROUTE_\w+, (\w+),[^"]*(?:"[^"]*"|\w+), "(/[^"]*)"', text)
    rows += re.findall(r'\{ ROUTE_\w+, (\w+), NULL, "(/[^"]*)"', text)
    return {(path.replace("*", "{id}"), {"READING": "get"}.get(method, method.lower()))
            for method, path in rows if path not in NOT_DESCRIBED}


def description(text):
    path, found = None, set()
    for line in text.split("\npaths:\n")[1].split("\ncomponents:\n")[0].splitlines():
        path = line.strip(" :") if re.match(r"  /\S*:$", line) else path
        method = re.match(r"    (\w+):$", line)
        if method:
            found.add((path, method[1]))
    return found


def main(root):
    have = description((root / "openapi/openapi.yaml").read_text())
    want = table((root / "api/route.c").read_text())
    for path, method in sorted(want - have):
        print(f"openapi/openapi.yaml: no {method} {path}, which api/route.c has")
    for path, method in sorted(have - want):
        print(f"openapi/openapi.yaml: {method} {path} is not in api/route.c")
    if len(want) < 10:
        print("api/route.c: its table is not written as this lint reads it")
    return have != want or len(want) < 10


sys.exit(main(pathlib.Path(sys.argv[1])))
