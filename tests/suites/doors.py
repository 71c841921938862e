"""Other people's clients that seal by themselves, at a worker's doors, through a relay (tests/e2e/doors)"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e" / "doors.d"))

from visits import parts  # noqa: E402, F401
