"""The first weeks of a laboratory's year, with a backup that is restored on the first or the second Monday."""

import pytest

from tests.simulation.year import Year, play_year


class Fortnight(Year):
    """Two weeks of a year."""

    days = 15
    restored_between = 4, 12


# With 7, scripts go on with what was lost while others have got the same serials and numbers of attempts.
@pytest.mark.parametrize("seed", [1, 3, 7])
def test_a_laboratory_lives_through_weeks_in_which_a_backup_is_restored(seed):
    assert not play_year(seed, kind=Fortnight).violations
