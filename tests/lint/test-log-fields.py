#!/usr/bin/env python3
"""A log line takes no bytes and no text from outside: that does not compile. Called with the root
of the repository and the compiler's command."""
import subprocess
import sys

PROGRAM = """#include "base/log.h"
void f(struct log *log, bytes body, const char *text, char array[8], struct word w,
       const struct log_id *id, const uint8_t *digest);
void f(struct log *log, bytes body, const char *text, char array[8], struct word w,
       const struct log_id *id, const uint8_t *digest)
{
    (void)log, (void)body, (void)text, (void)array, (void)w, (void)id, (void)digest;
    %s;
}
"""
TAKEN = [
    'LOG_INFO(log, "event")',
    'LOG_INFO(log, "event", F_WORD("k", "literal"), F_WORD_OF("k", w), F_ID("k", id))',
    'LOG_ERROR(log, "event", F_U64("k", 1), F_ERR(OK), F_ERRNO(1), F_HEX("k", digest, 32))',
]
REFUSED = [
    'LOG_INFO(log, text)', 'LOG_INFO(log, array)', 'LOG_INFO(log, "event", F_WORD("k", text))',
    'LOG_INFO(log, "event", F_WORD("k", array))', 'LOG_INFO(log, "event", F_WORD("k", body))',
    'LOG_INFO(log, "event", F_WORD_OF("k", text))', 'LOG_INFO(log, "event", F_WORD_OF("k", body))',
    'LOG_INFO(log, "event", F_WORD_OF("k", WORD(text)))',
    'LOG_INFO(log, "event", F_WORD(text, "v"))',
    'LOG_INFO(log, "event", F_U64(text, 1))', 'LOG_INFO(log, "event", F_U64("k", body))',
    'LOG_INFO(log, "event", F_U64("k", text))', 'LOG_INFO(log, "event", F_ID("k", text))',
    'LOG_INFO(log, "event", F_ID("k", body))', 'LOG_INFO(log, "event", F_HEX("k", text, 1))',
    'LOG_INFO(log, "event", F_HEX("k", body, 1))', 'LOG_INFO(log, "event", F_ERR(text))',
    'LOG_INFO(log, "event", F_ADDR("k", text))', 'LOG_INFO(log, "event", text)',
]


def compiles(root, compiler, line):
    flags = ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
             "-Wno-unknown-warning-option", "-fdouble-square-bracket-attributes", "-x", "c", "-"]
    if "clang" not in compiler[-1]:
        flags.remove("-fdouble-square-bracket-attributes")
    return subprocess.run([*compiler, "-I", root, *flags], input=PROGRAM % line, text=True,
                          capture_output=True).returncode == 0


root, compiler = sys.argv[1], sys.argv[2:]
wrong = [f"must compile: {t}" for t in TAKEN if not compiles(root, compiler, t)]
wrong += [f"must not compile: {r}" for r in REFUSED if compiles(root, compiler, r)]
print("\n".join(wrong) or f"{len(TAKEN)} lines taken, {len(REFUSED)} refused by the compiler")
sys.exit(bool(wrong))
