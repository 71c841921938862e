#!/usr/bin/env python3
"""The YAML in README.md, and the policy it points to, are taken by the programs."""
import pathlib
import re
import subprocess
import sys
import tempfile


def main(root, gateway, worker):
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (root / "README.md").read_text(), re.M | re.S)
    programs = [worker if re.search("^engine:", b, re.M) else gateway for b in blocks]
    if sorted(programs) != sorted([gateway, worker]):
        sys.exit("README.md: there should be one configuration of each program")
    bad = 0
    for block, program in zip(blocks, programs):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(block)
            file.flush()
            done = subprocess.run([program, "--config", file.name, "--print-config"],
                                  capture_output=True, text=True)
            print(done.stderr, end="")
            bad |= done.returncode
    return bad


sys.exit(main(pathlib.Path(sys.argv[1]), *sys.argv[2:]))
