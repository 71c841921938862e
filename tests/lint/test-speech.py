#!/usr/bin/env python3
"""Plants faults for check-speech.py. They are put together here, so that this file is clean."""
import planting


def join(*parts):
    return "line\n" + "".join(parts) + "\n"


planting.prove("check-speech.py", [
    ("base/planted1.c", join("/* see /wo", "rk/x */"), ":2: "),
    ("planted2.md", join("built in /tmp/", "b-x"), "the path of one machine"),
    ("deploy/planted3", join("cd /ro", "ot/x"), "the path of one machine"),
    ("deploy/planted4.sh", join("curl https://py", "pi.org/simple"), "a registry's host name"),
    ("tests/planted5.py", join("registry.np", "mjs.org"), "a registry's host name"),
    ("planted6.md", join("written by Cla", "ude"), "a tool that writes code"),
    ("planted7.md", join("AI-", "generated"), "how it is written"),
    ("planted8.md", join("the user ", "asked for it"), "how the work is shared out"),
    ("planted9.md", join("LINK ", "helper"), "how the work is shared out"),
    ("base/planted10.h", join("/* TO", "DO later */"), "an open end"),
    ("base/planted11.h", join("/* TO", "DO #12: later */"), None),
    ("planted12.md", join("the network/", "work/flow, a framework/x, a session of a user"), None),
    ("planted13.bin", "\x00" + join("/wo", "rk/"), None),
])
