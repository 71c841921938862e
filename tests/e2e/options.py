"""What the command line said."""
import pathlib


class Options:
    build = pathlib.Path("build")
    patience = 1  # times longer for slow builds
    keep = False
