"""The clients: how each is had, and how its program here is started."""
import hashlib
import pathlib
import re
import shutil

import installs

HERE = pathlib.Path(__file__).resolve().parent
OHTTP = "OHTTP"


def built(name, command, seconds):
    """A copy of the folder here of that name, built outside of the tree; anew when a file in it changes."""
    files = sorted(p for p in (HERE / name).iterdir() if p.is_file())
    digest = hashlib.sha256(b"".join(p.name.encode() + p.read_bytes() for p in files)).hexdigest()

    def install(to):
        for p in files:
            shutil.copy2(p, to / p.name)
        return shutil.which(command[0]) is not None and installs.attempt(command, to, seconds)
    return installs.installed(f"doors {name} {digest[:12]}", install, float("inf"))


def rust():
    folder = built("rust", ["cargo", "build", "--quiet"], 1500)
    lock = (folder / "Cargo.lock").read_text()
    found = dict(re.findall(r'name = "(ohttp|bhttp)"\nversion = "([^"]+)"', lock))
    return [str(folder / "target/debug/door")], f"{found['ohttp']}, {found['bhttp']}"


def go():
    folder = built("go", ["go", "build", "-mod=mod", "-o", "door", "."], 900)
    version = re.search(r"github.com/openpcc/ohttp v(\S+)", (folder / "go.mod").read_text())[1]
    return [str(folder / "door")], version


def ohttp_ts():
    """Not in the registry so far."""
    installs.npm_packages("ohttp-ts")
    raise installs.Missing("ohttp-ts can be installed now, but has no program here")


CLIENTS = {  # name: (title, door, what gives command and version)
    "rust": ("Rust crates ohttp, bhttp", OHTTP, rust),
    "go": ("Go openpcc/ohttp", OHTTP, go),
    "ohttp-ts": ("npm ohttp-ts", OHTTP, ohttp_ts),
}
