"""A laboratory's year as a whole, and first weeks in which a backup is restored on the first or the second Monday."""

import json
from functools import partial

import pytest

from benchmarks.commit import commit
from tests.simulation import __main__ as command
from tests.simulation import growth, year
from tests.simulation.calendar import DAY
from tests.simulation.story import play
from tests.simulation.year import Year
from xfworker.adapters.disk.partial_uploads import PartialUploads

WHOLE_YEAR = 3


@pytest.mark.parametrize("seed", [1, 3, 7])
def test_a_laboratory_lives_through_weeks_in_which_a_backup_is_restored(seed):
    assert not play(seed, kind=partial(Year, days=15)).violations


def test_a_laboratory_lives_through_a_whole_year():
    story = play(WHOLE_YEAR, kind=Year)
    assert not story.violations, f"make simulate YEAR=1 SEED={WHOLE_YEAR} tells the story"
    assert story.seconds > 364 * DAY
    assert story.jobs > 4000


def test_a_violation_is_printed_with_what_plays_it_again_before_its_story_is_made_short(capsys, monkeypatch):
    monkeypatch.setattr(growth, "check_up", lambda *_: ["a file that nobody has"])
    printed = []

    def shrunk(story, *, most):
        printed.append(capsys.readouterr().out)
        assert most == 0
        return story

    monkeypatch.setattr(command, "shrink", shrunk)
    assert command.main(["--year", "--days", "2", "--seed", "7", "--shrink-seconds", "0"]) == 1
    violation = "VIOLATION: the check-up finds ['a file that nobody has']\n"
    [first] = printed
    assert "seed 7 leads to a violation at day 1" in first
    assert f"with commit {commit()}; again: make simulate YEAR=1 DAYS=2 SEED=7" in first
    assert violation in first
    after = capsys.readouterr().out
    assert after.startswith("the shortest story found")
    assert violation in after


def test_the_figures_of_a_few_days_of_a_year_are_printed(capsys):
    assert command.main(["--year", "--days", "2", "--seed", "3", "--json"]) == 0
    printed = capsys.readouterr()
    figures = json.loads(printed.out)
    assert (figures["seeds"], figures["days"], figures["violations"]) == ("3", 2, 0)
    assert figures["attempts"] > 10
    assert printed.err == f"seed 3: day 2 of 2, {figures['attempts']} attempts, {figures['misfortunes']} misfortunes\n"


def test_days_are_those_of_a_year(capsys):
    with pytest.raises(SystemExit):
        command.main(["--days", "2"])
    assert "--days goes with --year" in capsys.readouterr().err


def test_an_upload_that_nobody_goes_on_with_is_noticed_where_it_stays(monkeypatch):
    monkeypatch.setitem(year.CHANCES_OF_A_YEAR, "request doubled", 0.3)
    week = partial(Year, days=6)
    assert not play(1, kind=week).violations
    monkeypatch.setattr(PartialUploads, "sweep", lambda _: 0)
    assert "uploads that nobody goes on with are left" in str(play(1, kind=week).violations)
