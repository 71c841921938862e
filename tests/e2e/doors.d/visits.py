"""Other people's clients at a worker's doors, through a relay (tests/e2e/doors)"""
import time

import installs
import suite
import trial
import visitors

MARKS = {"ok": "yes", "FAIL": "NO", "SKIPPED": "-"}


def visit(name, rows):
    title, door, get = visitors.CLIENTS[name]
    try:
        command, version = get()
    except installs.Missing as why:
        rows.append((title, "not to be had", door, {}))
        raise suite.Skip(str(why)) from why
    began = time.monotonic()
    rows.append((title, version, door, trial.run(name, command)))
    suite.say(f"   {title}, {version}: {time.monotonic() - began:.0f} s")
    return "counted"


def table(rows):
    """A line for each client, a column for each case."""
    lines = [["client", "version", "door", *trial.CASES]]
    lines += [[title, version, door, *(MARKS[result[c]] if result else "-" for c in trial.CASES)]
              for title, version, door, result in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        suite.say("| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths)) + " |")
    return "counted"


def parts(names=visitors.CLIENTS):
    rows = []
    return [(visitors.CLIENTS[name][0], lambda n=name: visit(n, rows)) for name in names] + [
        ("the table", lambda: table(rows))]
