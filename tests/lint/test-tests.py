#!/usr/bin/env python3
"""Plants faults for check-tests.py."""
import planting

EMPTY = "int planted;\n"

planting.prove("check-tests.py", [
    ("base/planted.c", EMPTY, "base/planted.c: no tests/unit/base/test_planted.c"),
    ("wire/planted.c", EMPTY, "wire/planted.c: no tests/unit/wire/test_planted.c"),
    ("tests/unit/base/test_buf.c", None, "base/buf.c: no tests/unit/base/test_buf.c"),
    ("tests/unit/base/meson.build", "foreach name : ['cbor']\n",
     "tests/unit/base/test_buf.c: not run"),
    ("tests/unit/base/test_config_value.c", EMPTY, "remove it from the exceptions"),
    ("tests/unit/base/test_config.c", None, "its exception names a file that is not there"),
    ("base/config_show.c", None, "base/config_show: an exception for no module"),
    ("gateway/planted.c", EMPTY, None),
    ("base/planted.h", EMPTY, None),
], together=False)
