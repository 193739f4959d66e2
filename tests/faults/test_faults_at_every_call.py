"""Whichever call fails, a story ends in a documented error: nothing acknowledged is lost, and nothing is left."""

from contextlib import contextmanager, suppress
from itertools import count

import pytest

from tests.faults.counting import EACH_CALL, Countdown, FailingRecords, failing_disk, failing_statements
from tests.faults.stories import STORIES, TwoTasks


def fail_each_call(folder, make, failing, *, stays=False, step=None):
    """Play a story again and again, each time with another call that fails, until none is left; give their number."""
    for number in count(1, 1 if EACH_CALL else step or make.step):
        place = folder / str(number)
        place.mkdir()
        story, countdown = make(place), Countdown(number, stays=stays)
        what = f"call {number}"
        try:
            with suppress(*story.refusals), failing(story, countdown):
                story.play()
            what = f"call {number}: {countdown.failed[:1]}"
            countdown.heal()
            story.check()
            story.play()
            story.check()
            assert story.left() == [], what
        except Exception as error:
            error.add_note(what)
            raise
        finally:
            story.close()
        if not countdown.failed:
            return number - 1
    raise AssertionError("numbers do not end")


@pytest.mark.parametrize("stays", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("story", STORIES)
def test_a_disk_that_fails(story, stays, tmp_path, counted):
    def failing(played, countdown):
        return failing_disk(played.folder, countdown)

    counted("the disk", calls := fail_each_call(tmp_path, story, failing, stays=stays))
    assert calls > 10


def test_a_database_that_fails(tmp_path, counted):
    def failing(played, countdown):
        return failing_statements(played.opened.engine, countdown)

    counted("SQL statements and commits", calls := fail_each_call(tmp_path, TwoTasks, failing, step=25))
    assert calls > 30


def test_a_server_that_dies_before_and_after_it_commits(tmp_path, counted):
    @contextmanager
    def failing(played, countdown):
        played.over(FailingRecords(played.opened, countdown))
        try:
            yield
        finally:
            played.over(played.opened)

    counted("a server that dies", calls := fail_each_call(tmp_path, TwoTasks, failing, step=8))
    assert calls > 30
