#!/usr/bin/env python3
"""Functions of the C library that this project does not call, each with what to use instead."""
import pathlib
import re
import sys

PRODUCT = ("base", "crypto", "attest", "receipts", "wire", "api", "gateway", "enclave-worker",
           "cli")
ALL = PRODUCT + ("tests",)
# what, where it is banned, where it is allowed all the same, what to use
RULES = [
    ("strcpy|stpcpy|strncpy|strcat|strncat|sprintf|vsprintf|strtok|strtok_r|gets|alloca", ALL, (),
     "base/buf"),
    ("atoi|atol|atoll|atof|strtol|strtoul|strtoll|strtoull|s?scanf|fscanf", ALL, (), "base/text"),
    # The writer looks whether fewer digits give the same number; nothing foreign is read with it.
    ("strtod|strtof", PRODUCT, ("base/json.c",), "base/json"),
    ("malloc|calloc|realloc|reallocarray|free|v?asprintf|strn?dup|aligned_alloc|posix_memalign",
     PRODUCT, ("base/mem.c",), "base/mem"),
    ("memcmp|bcmp", ("crypto", "attest", "receipts", "gateway/admit"), (),
     "secret_equal(), or bytes_equal() for what is public"),
    ("system|popen", ALL, (), "nothing: no shell is started"),
    ("fork|vfork|exec[lv]p?e?|posix_spawnp?", PRODUCT, ("cli/up.c",), "nothing outside cli/up"),
    ("rand|srand|rand_r|random|srandom|drand48|lrand48", ALL, (), "crypto_random()"),
    ("time|gettimeofday|clock_gettime|clock|ftime", PRODUCT, ("base/clock.c",), "base/clock"),
    ("localtime|gmtime|localtime_r|gmtime_r|mktime|asctime|ctime", PRODUCT, ("base/httpdate.c",),
     "clock_utc_text() or base/httpdate"),
    ("v?f?printf|puts|fputs|putchar|perror|v?dprintf", PRODUCT, ("main.c", "cli/"),
     "base/log, or base/buf"),
]
TOKENS = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def bare(text):
    """The text without comments and literals, every line where it was."""
    return TOKENS.sub(lambda m: "\n" * m[0].count("\n") or '""', text)


def faults_of(name, text):
    for words, folders, allowed, instead in RULES:
        if not name.startswith(folders) or any(name.startswith(a) or name.endswith("/" + a)
                                               for a in allowed):
            continue
        for m in re.finditer(rf"(?<![\w.>])({words})\s*\(", text):
            yield text.count("\n", 0, m.start()) + 1, f"{m[1]}() is banned; use {instead}"
    for m in re.finditer(r"\bgoto\b", text):
        yield text.count("\n", 0, m.start()) + 1, "goto is banned; leave by TRY, clean up by scope"


def main(root):
    bad = 0
    for path in sorted(p for d in ALL for p in (root / d).rglob("*.[ch]")):
        name = str(path.relative_to(root))
        for line, fault in faults_of(name, bare(path.read_text())):
            print(f"{name}:{line}: {fault}")
            bad += 1
    return bad != 0


sys.exit(main(pathlib.Path(sys.argv[1])))
