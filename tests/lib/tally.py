#!/usr/bin/env python3
"""Counts what a meson test log says, test by test.

    tally.py TESTLOG.json

A program of unit tests counts as many as it says it ran, a vector runner likewise; everything else
counts as one. What failed is named. The last line is "N passed, N failed, N skipped".
"""
import json
import re
import sys

TOTALS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
CMOCKA = re.compile(r"\[\s*(PASSED|SKIPPED)\s*\]\s+(\d+) test\(s\)")
CMOCKA_FAILED = re.compile(r"\[\s*FAILED\s*\]\s+(\d+) test\(s\), listed below")


def count(test):
    """(passed, failed, skipped) of one entry of the log."""
    text = (test.get("stdout") or "") + "\n" + (test.get("stderr") or "")
    result = test["result"]
    if result == "SKIP":
        return 0, 0, 1
    if found := TOTALS.findall(text):
        passed, failed, skipped = map(int, found[-1])
    else:
        passed = sum(int(n) for kind, n in CMOCKA.findall(text) if kind == "PASSED")
        skipped = sum(int(n) for kind, n in CMOCKA.findall(text) if kind == "SKIPPED")
        failed = sum(int(n) for n in CMOCKA_FAILED.findall(text))
    if result in ("OK", "EXPECTEDFAIL"):
        return (passed, failed, skipped) if passed + failed + skipped else (1, 0, 0)
    return passed, max(failed, 1), skipped


def main(path):
    totals = [0, 0, 0]
    with open(path, encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            counted = count(test)
            totals = [a + b for a, b in zip(totals, counted)]
            if counted[1]:
                print(f"FAIL {test['name']}: {test['result']}")
            elif test["result"] == "SKIP":
                print(f"SKIPPED {test['name']}")
    print("%d passed, %d failed, %d skipped" % tuple(totals))
    return totals[1] != 0


sys.exit(main(sys.argv[1]))
