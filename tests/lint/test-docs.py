#!/usr/bin/env python3
"""Plants faults for check-docs.py."""
import pathlib
import sys

import planting

ROOT = pathlib.Path(sys.argv[1])


def with_(path, old, new):
    text = (ROOT / path).read_text()
    assert old in text, (path, old)
    return path, text.replace(old, new, 1)


planting.prove("check-docs.py", [
    ("base/planted.c", "", "ARCHITECTURE.md: base/planted is not in the tree"),
    ("cli/planted.h", "", "ARCHITECTURE.md: cli/planted is not in the tree"),
    ("base/planted.md", "", None),
    (*with_("ARCHITECTURE.md", "  buf mem ", "  buf men "), "there is no base/men"),
    ("deploy/packages", None, "there is no deploy/packages"),
    (*with_("README.md", "`tokens_file`", "`planted_file`"), "planted_file is no setting"),
    (*with_("README.md", "](SECURITY.md)", "](PLANTED.md)"), "the link to PLANTED.md leads nowhere"),
    (*with_("README.md", "](#what", "](#planted-what"), "#planted-what-is-protected-and-what-is-not"),
    (*with_("THREAT-MODEL.md", "test_binding.c`", "test_planted.c`"), "test_planted.c"),
    (*with_("attest/README.md", "`attest/verify.h`", "`attest/planted.h`"),
     "README.md: there is no attest/planted.h"),
], together=False)
