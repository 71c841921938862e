"""One stack that the tests of a module share, so that not each of them starts programs."""
from stack import Stack

SHARED = {}


def shared(name, **settings):
    if name not in SHARED or not all(p.alive() for p in SHARED[name].programs()):
        SHARED.pop(name, None)
        SHARED[name] = Stack(**settings)
    return SHARED[name]


def finish(name):
    s = SHARED.pop(name, None)
    if s is not None:
        s.check()
        s.stop()
