"""Bad networks, dying programs and bad clients: a few cases of tests/e2e/chaos"""
import chaos
from suite import Skip, say, test

SHORT = ("loss", "kill-g1", "rapid-reset")


def register(c):
    @test(f"nothing is cut, asked twice or lost under {c.name}: {c.what}", 240)
    def _():
        row, why = chaos.run(c)
        if row is None:
            raise Skip(why)
        for line in chaos.table([row]):
            say(f"    {line}")
        assert not row["faults"], row["faults"]


for _case in chaos.CASES:
    if _case.name in SHORT:
        register(_case)
