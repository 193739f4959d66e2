import pytest

from benchmarks.transfer_bench import Move
from benchmarks.transfers import Pair


def pair(*ratios, limit=1.0):
    turns = [(Move(seconds=1.0, cpu=1.0, rss=1.0), Move(seconds=ratio, cpu=1.0, rss=1.0)) for ratio in ratios]
    return Pair("curl", "up", limit, turns=turns)


@pytest.mark.parametrize(
    ("held", "is_clear"),
    [
        (pair(3.0), False),
        (pair(3.0, 2.0), True),
        (pair(3.0, 1.2), False),
        (pair(0.5, 0.6), True),
        (pair(0.5, 2.0), False),
        (pair(1.45, 1.45, limit=0.9), True),
        (pair(1.45, 1.45), False),
    ],
)
def test_a_pair_is_run_again_until_its_turns_leave_no_doubt(held, is_clear):
    assert held.is_clear is is_clear
