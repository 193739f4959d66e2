"""What a job needs and what a worker offers, at their edges."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from attrs.exceptions import FrozenInstanceError

from xfworker.domain.records import Job, Worker
from xfworker.domain.resources import (
    Needs,
    Offer,
    Pilot,
    Scratch,
    declared_needs,
    expected_seconds,
    is_there,
    recorded_time,
    with_earlier_pilots,
    worker_offer,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def worker(pilot=None, **resources):
    return Worker(name="w", metadata={"resources": resources, "pilot": pilot and pilot.to_json()}, last_seen_at=NOW)


def declared(**resources):
    return declared_needs({"package": {"metadata": {"resources": resources}}})


@pytest.mark.parametrize("value", [Needs(), Offer(), Pilot(system="slurm", job="7")])
def test_needs_offers_and_pilots_are_values_that_name_their_parts(value):
    with pytest.raises(FrozenInstanceError):
        setattr(value, attrs.fields(type(value))[0].name, 1)
    with pytest.raises(TypeError, match="positional"):
        type(value)(*attrs.astuple(value))


def test_an_offer_in_a_record_states_what_is_there_and_is_read_back_as_it_was():
    assert Offer(cores=1).to_json() == {"cores": 1, "memory_mib": 0, "gpus": 0}
    offer = Offer(cores=2, memory_mib=64, gpus=3, scratch=Scratch.SHARED)
    assert offer.to_json() == {"cores": 2, "memory_mib": 64, "gpus": 3, "scratch": "shared"}
    assert worker_offer(worker(**offer.to_json()), NOW) == offer
    assert worker_offer(worker(), NOW) == Offer()


@pytest.mark.parametrize(("left", "seconds"), [(90, 90.0), (-90, 0.0)])
def test_a_worker_offers_the_time_that_its_batch_job_has_left(left, seconds):
    pilot = Pilot(system="slurm", job="7", ends_at=NOW + timedelta(seconds=left))
    assert worker_offer(worker(pilot), NOW) == Offer(seconds=seconds, walltime_seconds=seconds)


@pytest.mark.parametrize(
    ("earlier", "later", "only_later"),
    [
        (Offer(seconds=60.0), Offer(seconds=59.0), True),
        (Offer(seconds=60.0), Offer(seconds=60.0), True),
        (Offer(), Offer(), True),
        (Offer(seconds=60.0), Offer(seconds=61.0), False),
        (Offer(seconds=60.0), Offer(), False),
        (Offer(), Offer(seconds=60.0), False),
        (Offer(seconds=60.0, cores=1), Offer(seconds=59.0, cores=2), False),
    ],
)
def test_an_offer_is_only_later_where_nothing_but_its_time_has_become_less(earlier, later, only_later):
    assert later.is_only_later_than(earlier) is only_later


def test_a_job_that_needs_no_scratch_lacks_none():
    assert Needs(cores=1).lacking(Offer(cores=1, scratch=Scratch.LOCAL)) == []
    assert Needs(scratch=Scratch.SHARED).lacking(Offer(scratch=Scratch.LOCAL)) == ["shared scratch"]


def test_a_job_of_unknown_length_fits_where_nobody_knows_how_long_the_worker_had():
    assert Needs().fits_time(Offer(seconds=0.25), None)


def test_a_part_of_a_core_needs_a_core():
    assert (declared(cores=2.5).cores, declared(cores=2).cores) == (3, 2)


@pytest.mark.parametrize("cores", [True, "many", [1]])
def test_what_is_not_a_number_is_not_a_need(cores):
    with pytest.raises(TypeError, match="is not a number"):
        declared(cores=cores)


def test_a_worker_that_became_another_batch_job_says_since_when():
    before, after = (worker(Pilot(system="slurm", job=job)) for job in ("7", "8"))
    changed = with_earlier_pilots(before, after.metadata, NOW)
    assert recorded_time(Worker(name="w", metadata=changed), "pilot_since") == NOW
    assert recorded_time(before, "pilot_since") is None


def test_a_worker_is_there_from_the_moment_on_at_which_it_was_heard_of():
    assert is_there(worker(), NOW)
    assert not is_there(worker(), NOW + timedelta(seconds=1))
    assert not is_there(worker(Pilot(system="slurm", job="7", left=True)), NOW)


def test_only_jobs_that_began_and_ended_say_how_long_the_next_one_takes():
    later = NOW + timedelta(seconds=100)
    jobs = [Job(task_serial=1, started_at=NOW), Job(task_serial=1, finished_at=NOW), Job(task_serial=1)]
    assert expected_seconds(jobs) is None
    assert expected_seconds([*jobs, Job(task_serial=1, started_at=NOW, finished_at=later)]) == 125.0
