"""A laboratory's year as a whole, and first weeks in which a backup is restored on the first or the second Monday."""

import pytest

from tests.simulation.calendar import DAY
from tests.simulation.year import Year, play_year

WHOLE_YEAR = 3


class Fortnight(Year):
    """Two weeks of a year."""

    days = 15
    restored_between = 4, 12


# With 7, scripts go on with what was lost while others have got the same serials and numbers of attempts.
@pytest.mark.parametrize("seed", [1, 3, 7])
def test_a_laboratory_lives_through_weeks_in_which_a_backup_is_restored(seed):
    assert not play_year(seed, kind=Fortnight).violations


def test_a_laboratory_lives_through_a_whole_year():
    story = play_year(WHOLE_YEAR)
    assert not story.violations, f"make simulate YEAR=1 SEED={WHOLE_YEAR} tells the story"
    assert story.seconds > 364 * DAY
    assert story.jobs > 4000
