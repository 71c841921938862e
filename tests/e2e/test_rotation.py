"""Keys, workers, policy and tokens change under load, and nothing is lost: tests/e2e/rotation in short"""
import tempfile

import rotation
from suite import say, test


@test("hundreds of streams through two gateways lose nothing while workers restart and keys turn", 200)
def _():
    with tempfile.TemporaryDirectory() as folder:
        well, lines = rotation.measure(folder, 300, clients=16, seconds=120)
        for line in lines:
            say(f"    {line}")
        assert well, lines
