"""The clients: how each is had, and how its program here is started."""
import hashlib
import json
import pathlib
import re
import shutil

import installs

HERE = pathlib.Path(__file__).resolve().parent
OHTTP, EHBP = "OHTTP", "EHBP"


def built(name, command, seconds):
    """A copy of the folder here of that name, built outside of the tree; anew when a file in it changes."""
    files = sorted(p for p in (HERE / name).iterdir() if p.is_file())
    digest = hashlib.sha256(b"".join(p.name.encode() + p.read_bytes() for p in files)).hexdigest()

    def install(to):
        for p in files:
            shutil.copy2(p, to / p.name)
        return installs.attempt(command, to, seconds)
    where = f"doors {name} {digest[:12]}"
    if not installs.is_there(where) and shutil.which(command[0]) is None:
        raise installs.Missing(f"there is no {command[0]}")
    return installs.installed(where, install, float("inf"))


def rust():
    folder = built("rust", ["cargo", "build", "--quiet"], 1500)
    lock = (folder / "Cargo.lock").read_text()
    found = dict(re.findall(r'name = "(ohttp|bhttp)"\nversion = "([^"]+)"', lock))
    return [str(folder / "target/debug/door")], f"{found['ohttp']}, {found['bhttp']}"


def go():
    folder = built("go", ["go", "build", "-mod=mod", "-o", "door", "."], 900)
    version = re.search(r"github.com/openpcc/ohttp v(\S+)", (folder / "go.mod").read_text())[1]
    return [str(folder / "door")], version


def npm(way):
    folder = installs.npm_packages("ehbp", "openai@7")
    command = [installs.node(), str(HERE / "ehbp.mjs"), str(folder), way]
    return command, ", ".join(npm_version(folder, p) for p in ("ehbp", "openai")[:1 + (way == "openai")])


def npm_version(folder, package):
    return json.loads((folder / "node_modules" / package / "package.json").read_text())["version"]


def python(way):
    python = installs.python_with("tinfoil-ehbp", "openai")
    command = [str(python), "-B", str(HERE / "ehbp_python.py"), way]
    return command, ", ".join(installs.version_of(python, p)
                              for p in ("tinfoil-ehbp", "openai")[:1 + (way == "openai")])


def ohttp_ts():
    """Not in the registry so far."""
    installs.npm_packages("ohttp-ts")
    raise installs.Missing("ohttp-ts can be installed now, but has no program here")


CLIENTS = {  # name: (title, door, what gives command and version)
    "rust": ("Rust crates ohttp, bhttp", OHTTP, rust),
    "go": ("Go openpcc/ohttp", OHTTP, go),
    "ehbp": ("npm ehbp", EHBP, lambda: npm("alone")),
    "ehbp-openai": ("npm openai over ehbp", EHBP, lambda: npm("openai")),
    "tinfoil": ("PyPI tinfoil-ehbp", EHBP, lambda: python("alone")),
    "tinfoil-openai": ("PyPI openai over tinfoil-ehbp", EHBP, lambda: python("openai")),
    "ohttp-ts": ("npm ohttp-ts", OHTTP, ohttp_ts),
}
