"""Whichever request of a story fails: once is made good by trying again, for ever ends in a documented error."""

import os
import re
import time
from itertools import count
from pathlib import Path

import pytest

from tests.faults.counting import EACH_CALL, Countdown
from tests.faults.network import Misfortune, failing_network
from tests.faults.network_stories import STORIES
from tests.faults.served import served
from tests.faults.stories import is_temporary
from xfworker.adapters.disk.partial_uploads import PartialUploads
from xfworker.domain.errors import XFWorkerError

_ERRORS = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"
_DOCUMENTED = frozenset(re.findall(r"^## ([a-z-]+)$", _ERRORS.read_text("utf-8"), re.MULTILINE))
_MONTH_SECONDS = 30 * 24 * 3600.0
_KINDS = list(Misfortune)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    """What each story comes to where nothing fails."""
    results = {}
    for make in STORIES:
        story = make(server, tmp_path_factory.mktemp(make.__name__))
        assert story.play()
        results[make] = story.lasting(), story.of_attempts()
        story.close()
    return results


def fail_each_request(make, server, folder, misfortune, each_try, *, stays, step):
    """Play a story with each request failing in turn, until none is left; give their number."""
    # In the default suite each kind of misfortune meets other requests.
    for number in count(1) if EACH_CALL else count(1 + _KINDS.index(misfortune) % step, step):
        place = folder / str(number)
        place.mkdir()
        story, countdown = make(server, place), Countdown(number, stays=stays)
        try:
            each_try(story, failing_network(countdown, misfortune))
        except Exception as error:
            error.add_note(f"request {number}: {countdown.failed[:1]}")
            raise
        finally:
            story.close()
        if not countdown.failed:
            return number - 1
    raise AssertionError("numbers do not end")


def left_a_month_later(server):
    for path in server.folder.rglob("*"):
        os.utime(path, (time.time() - _MONTH_SECONDS,) * 2)
    PartialUploads(server.files).sweep()
    return [path for path in server.folder.rglob("*") if is_temporary(path)]


@pytest.mark.parametrize("misfortune", Misfortune, ids=lambda one: one.name.lower())
@pytest.mark.parametrize("make", STORIES)
def test_a_request_that_fails_once_is_made_good_and_nothing_is_done_twice(
    make, misfortune, server, undisturbed, tmp_path, counted
):
    def each_try(story, failing):
        with failing:
            assert story.play()
        story.check()
        assert not story.errors
        assert (story.lasting(), story.of_attempts()) == undisturbed[make]

    # Of lost answers each one: what is done twice is done twice by these.
    step = 1 if misfortune is Misfortune.LOST else 4
    requests = fail_each_request(make, server, tmp_path, misfortune, each_try, stays=False, step=step)
    counted(f"the network, once: {misfortune.value}", requests)
    assert requests >= 10
    assert left_a_month_later(server) == []


@pytest.mark.parametrize("misfortune", Misfortune, ids=lambda one: one.name.lower())
@pytest.mark.parametrize("make", STORIES)
def test_a_network_that_stays_away_ends_in_a_documented_error_and_the_next_try_succeeds(
    make, misfortune, server, undisturbed, tmp_path, counted
):
    def each_try(story, failing):
        is_done = False
        with failing:
            try:
                is_done = story.play()
            except XFWorkerError as error:
                story.errors.append(error)
        story.check()
        assert is_done != bool(story.errors)
        assert all(isinstance(error, XFWorkerError) and error.code in _DOCUMENTED for error in story.errors)
        story.rest()
        assert story.play()
        story.check()
        assert story.lasting() == undisturbed[make][0]

    requests = fail_each_request(make, server, tmp_path, misfortune, each_try, stays=True, step=8)
    counted(f"the network, from then on: {misfortune.value}", requests)
    assert requests >= 10
    assert left_a_month_later(server) == []
