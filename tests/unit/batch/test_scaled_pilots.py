"""How many pilots are submitted, which are cancelled by name, and what is kept of those that nobody has seen."""

from contextlib import nullcontext

import pytest

from tests.unit.batch.test_cancelled_pilots import Batch, Cluster
from xfworker.domain.errors import BatchSystemError, UsageError
from xfworker.services.pilots.choice import Choice
from xfworker.services.pilots.known_pilot import ABSENT


class Submitting(Batch):
    """A batch system that numbers what is submitted, and refuses once it is full."""

    most = 100

    def submit(self, text):
        assert text == "the script"
        if len(self.jobs) >= self.most:
            raise BatchSystemError("sbatch: QOSMaxSubmitJobPerUserLimit")
        job = str(len(self.jobs) + 1)
        self.jobs[job] = "PENDING"
        return job


class Submitted:
    """What was submitted from here."""

    def __init__(self):
        self.pilots = []

    def held(self):
        return nullcontext()

    def read(self):
        return self.pilots

    def write(self, pilots):
        self.pilots = list(pilots)


@pytest.fixture
def cluster():
    cluster = Cluster()
    cluster.batch = Submitting()
    cluster.pilots.systems = {"slurm": cluster.batch}
    cluster.pilots.submitted = Submitted()
    cluster.reported = []
    cluster.scale = lambda count, **options: [
        pilot.id
        for pilot in cluster.pilots.scale(
            cluster.batch, count, "the script", report=cluster.reported.append, **{"ask": False, **options}
        )
    ]
    return cluster


def kept(cluster):
    return [pilot.job for pilot in cluster.pilots.submitted.pilots]


def test_so_many_are_submitted_as_are_missing_and_those_that_wait_count(cluster):
    assert cluster.scale(2) == ["slurm:1", "slurm:2"]
    assert cluster.scale(3) == ["slurm:1", "slurm:2", "slurm:3"]
    assert cluster.scale(1) == ["slurm:1", "slurm:2", "slurm:3"]
    assert cluster.reported == ["slurm:1", "slurm:2", "slurm:3"]
    assert kept(cluster) == ["1", "2", "3"]


def test_one_that_was_seen_counts_and_is_not_kept_here_any_more(cluster):
    cluster.scale(2)
    cluster.worker("1")
    assert cluster.scale(3) == ["slurm:1", "slurm:2", "slurm:3"]
    assert kept(cluster) == ["2", "3"]
    cluster.worker("2", name="node-2")
    assert cluster.scale(3) == ["slurm:1", "slurm:2", "slurm:3"]
    assert kept(cluster) == ["3"]


def test_one_that_left_or_does_not_answer_is_replaced(cluster):
    cluster.scale(2)
    cluster.worker("1", name="node-1", left=True)
    cluster.worker("2", name="node-2")
    cluster.world.clock.advance(301)
    assert cluster.scale(2) == ["slurm:3", "slurm:4"]


def test_where_the_batch_system_is_asked_one_that_it_lost_is_replaced_and_one_that_left_is_not_looked_for(cluster):
    cluster.scale(2)
    cluster.worker("77", left=True)
    del cluster.batch.jobs["1"]
    cluster.batch.jobs["9"] = "RUNNING"
    assert cluster.scale(2, ask=True) == ["slurm:2", "slurm:3"]
    states = {pilot.id: (pilot.state, pilot.batch_state) for pilot in cluster.pilots.known(ask=True)}
    # As `cluster list --json` gives them.
    assert states["slurm:77"] == ("left", None)
    assert states["slurm:2"] == ("submitted", "PENDING")
    assert kept(cluster) == ["2", "3"]


def test_those_before_one_that_was_refused_are_kept(cluster):
    cluster.batch.most = 2
    with pytest.raises(BatchSystemError, match="QOSMaxSubmitJobPerUserLimit"):
        cluster.scale(3)
    assert kept(cluster) == ["1", "2"]
    assert cluster.reported == ["slurm:1", "slurm:2"]


def test_without_a_choice_all_that_are_there_or_wait_are_cancelled_and_those_that_left_are_not(cluster):
    cluster.scale(2)
    cluster.worker("8", name="node-3")
    cluster.world.clock.advance(301)
    cluster.worker("1")
    cluster.worker("7", name="node-2", left=True)
    assert {pilot.id: pilot.state.value for pilot in cluster.pilots.known()} == {
        "slurm:1": "there",
        "slurm:2": "submitted",
        "slurm:7": "left",
        "slurm:8": "silent",
    }
    assert sorted(cluster.stop()) == ["slurm:1", "slurm:2"]
    assert sorted(cluster.batch.cancelled) == ["1", "2"]
    assert kept(cluster) == []


@pytest.mark.parametrize("name", ["slurm:2", "2"])
def test_one_is_cancelled_by_its_name_and_the_others_stay_known(cluster, name):
    cluster.scale(3)
    assert cluster.stop(ids=[name]) == ["slurm:2"]
    assert (cluster.batch.cancelled, kept(cluster)) == (["2"], ["1", "3"])


def test_names_that_nothing_or_several_have_are_refused_with_those_that_are_known(cluster):
    with pytest.raises(UsageError, match="there is no pilot 7; known are: none"):
        cluster.stop(ids=["7"])
    cluster.worker("7", name="node-1")
    cluster.worker("7", name="node-2")
    with pytest.raises(UsageError, match="several pilots are called 7; known are: slurm:7, slurm:7"):
        cluster.stop(ids=["7"])
    assert cluster.batch.cancelled == []


def test_each_batch_system_is_asked_to_cancel_what_is_its_own(cluster):
    cluster.pilots.systems["pbs"] = other = Batch()
    cluster.worker("7", name="node-1")
    cluster.worker("9", name="node-2", system="pbs")
    assert sorted(cluster.stop()) == ["pbs:9", "slurm:7"]
    assert (cluster.batch.cancelled, other.cancelled) == (["7"], ["9"])


def test_the_pilot_of_a_worker_is_found_among_many(cluster):
    cluster.worker("7", name="node-1")
    cluster.worker("8", name="node-2")
    cluster.scale(3)
    assert cluster.stop(workers=["node-2"]) == ["slurm:8"]


def test_a_pilot_of_a_batch_system_that_is_not_known_here_is_left_to_that_system(cluster):
    cluster.scale(1)
    cluster.pilots.systems = {}
    with pytest.raises(UsageError, match="this version knows no batch system 'slurm'; cancel its jobs with its own"):
        cluster.pilots.stop(Choice(), ask=False)
    assert kept(cluster) == ["1"]
    assert ABSENT not in {pilot.batch_state for pilot in cluster.pilots.known()}
