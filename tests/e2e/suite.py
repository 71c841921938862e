"""Tests are functions with a sentence for a name."""
import os
import signal
import sys
import time
import traceback

import stack

TESTS = []


class Skip(Exception):
    """Raised by a test that cannot be run here; says why."""


class TooLong(BaseException):
    pass


def test(sentence, seconds=180, **marks):
    """Registers a test. seconds is when something hangs, not how long it should take."""
    def register(fn):
        TESTS.append((sentence, fn, seconds, marks))
        return fn
    return register


class Totals:
    passed = failed = skipped = 0


def say(line):
    print(line, flush=True)


def count_lines(text, label):
    """Takes over the ok/FAIL/SKIPPED lines of a program that is a test suite itself."""
    seen = 0
    for line in text.splitlines():
        word = line.split(" ", 1)[0]
        if word in ("ok", "FAIL", "SKIPPED"):
            seen += 1
            Totals.passed += word == "ok"
            Totals.failed += word == "FAIL"
            Totals.skipped += word == "SKIPPED"
            say(f"{word} {label}: {line.split(' ', 1)[1]}")
        elif line.strip():
            say(f"    {line}")
    return seen


def on_alarm(*_):
    raise TooLong()


def explain():
    kind, why, tb = sys.exc_info()
    say(f"     {kind.__name__}: {str(why)[:6000]}")
    for f in traceback.extract_tb(tb)[-5:]:
        say(f"     {os.path.basename(f.filename)}:{f.lineno}: {f.line}")


def run_one(sentence, fn, seconds):
    began = time.monotonic()
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(int(seconds * stack.Options.patience))
    try:
        result = fn()
    except Skip as why:
        Totals.skipped += 1
        say(f"SKIPPED {sentence}: {why}")
    except TooLong:
        Totals.failed += 1
        say(f"FAIL {sentence}: nothing happened within {seconds * stack.Options.patience} s")
        explain()
        stack.kill_all()
    except Exception:
        Totals.failed += 1
        say(f"FAIL {sentence}")
        explain()
    else:
        if result != "counted":
            Totals.passed += 1
            say(f"ok {sentence} ({time.monotonic() - began:.1f} s)")
    finally:
        signal.alarm(0)
