"""What the lints' own tests share: a copy of the repository, faults put into it, and a look at
whether the lint names each of them and nothing else."""
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def run(lint, root):
    """The lines that the lint prints; that it fails exactly when there are some is checked."""
    done = subprocess.run([sys.executable, HERE / lint, root], capture_output=True, text=True)
    if done.stderr or (done.returncode != 0) != bool(done.stdout):
        sys.exit(f"{lint}: exit {done.returncode} with this output:\n{done.stdout}{done.stderr}")
    return set(done.stdout.splitlines())


def write(file, text):
    """Writes the file, or removes it when there is no text; returns what was there."""
    kept = file.read_bytes() if file.exists() else None
    if text is None:
        file.unlink()
        return kept
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return kept


def plant(lint, root, before, plants):
    kept = [(root / path, write(root / path, text)) for path, text, _ in plants]
    new = run(lint, root) - before
    for path, _, named in plants:
        if named is None and any(line.startswith(path) for line in new):
            sys.exit(f"{lint}: {path} is reported without a fault: {sorted(new)}")
        lines = [n for n in new if n.startswith(path)] if len(plants) > 1 else new
        if named is not None and not any(named in line for line in lines):
            sys.exit(f"{lint}: {path} is not reported with '{named}': {sorted(new)}")
    for file, content in kept:
        write(file, content)


def prove(lint, plants, together=True):
    """Each plant is a path, the text there (None: the file is removed), and what the lint must say
    of it (None: nothing). Those planted together must have paths of their own."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "copy"
        shutil.copytree(sys.argv[1], root, symlinks=True, ignore=shutil.ignore_patterns(
            ".git", "build", "build-*", "node_modules", "__pycache__", "corpus"))
        before = run(lint, root)
        assert not together or len({path for path, _, _ in plants}) == len(plants)
        for batch in [plants] if together else [[p] for p in plants]:
            plant(lint, root, before, batch)
    print(f"{lint}: {len(plants)} plants, each seen for what it is")
