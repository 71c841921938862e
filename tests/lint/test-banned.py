#!/usr/bin/env python3
"""Plants faults for check-banned.py."""
import planting


def call(text):
    return "void f(void)\n{\n    " + text + "\n}\n"


BAD = [("wire", w) for w in (
    "strcpy", "strcat", "sprintf", "strtok", "atoi", "strtol", "gets", "scanf", "sscanf", "malloc",
    "calloc", "realloc", "free", "strdup", "system", "popen", "rand", "time", "gettimeofday",
    "clock_gettime", "printf", "fprintf", "fork", "execvp", "strtod", "gmtime_r")]
BAD += [(d, "memcmp") for d in ("crypto", "attest", "receipts")]
BAD += [("tests/unit/wire", w) for w in ("strcpy", "atoi", "system", "rand")]

planting.prove("check-banned.py", [
    (f"{folder}/planted_{word}.c", call(f"x = {word} (1);"),
     f":3: {word}() is banned; use ") for folder, word in BAD
] + [
    ("gateway/admit_planted.c", call("memcmp(a, b, 1);"), "memcmp() is banned"),
    ("base/planted1.c", call("goto out;"), ":3: goto is banned"),
    ("base/planted2.c", call("/* x\n */ free(x);"), ":4: free() is banned"),
    ("base/planted3.c", call('a = "\\""; free(x); b = "";'), ":3: free() is banned"),
    ("base/planted4.c", call("mem_free(x); snprintf(x); buf_printf(y); runtime(z);"), None),
    ("base/planted5.c", call("a->free(x); b.time(y);"), None),
    ("base/planted6.c", call("/* free(x)\n * goto y; */ // free(z)"), None),
    ("base/planted7.c", call('log("free(x) goto");'), None),
    ("base/planted8.c", call("memcmp(a, b, 1);"), None),
    ("cli/planted9.c", call("printf(x);"), None),
    ("gateway/main.c", call("printf(x);"), None),
    ("tests/unit/wire/planted10.c", call("printf(x); free(y); time(z);"), None),
])
