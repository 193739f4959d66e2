"""What many clients saw of a job at once is what one job, to which everything happens in turn, could have given."""

import logging

import pytest
import structlog

from tests.model.clients import LEASE_SECONDS, record_histories
from tests.model.linearizability import UNANSWERED, Operation, unexplained
from tests.model.stores import opened, postgresql_storage
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.job_state import JobState
from xfworker.services.platform import queue


@pytest.fixture(autouse=True)
def _quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


def violations(stores, **options):
    histories = record_histories(stores, **{"clients": 6, "operations": 40, "seed": 1, **options})
    assert sum(map(len, histories.values())) > 200
    found = [unexplained(operations, lease_seconds=LEASE_SECONDS) for operations in histories.values()]
    return [violation for violation in found if violation is not None]


def test_clients_of_one_server_in_memory():
    assert violations([MemoryRecordStore()]) == []


def test_clients_of_two_servers_over_postgresql(tmp_path):
    with postgresql_storage(tmp_path) as storage, opened(storage, 2) as stores:
        assert violations(stores) == []


def test_a_claim_that_does_not_compare_before_it_sets_is_noticed(monkeypatch):
    monkeypatch.setattr(queue, "_CLAIMABLE", tuple(JobState))
    assert violations([MemoryRecordStore()])


def asked(at, kind, answer=True, *, until=None, **of_what):
    return Operation(at, at + 0.5 if until is None else until, kind, answer=answer, **of_what)


CLAIMED = asked(0, "claim", 1)


@pytest.mark.parametrize(
    "history",
    [
        [CLAIMED, asked(1, "claim", None), asked(2, "finish", attempt=1, value=7), asked(3, "read", ("Done", 1, 7))],
        # A lease that was silent for long enough may end; a later one is renewed from then on.
        [CLAIMED, asked(20, "claim", 2), asked(21, "write", None, attempt=1, value=5)],
        # At the same time: whichever was first.
        [asked(0, "claim", 1, until=5), asked(1, "claim", None, until=4), asked(2, "read", ("Ready", 0, None))],
        # What was not answered may have happened.
        [asked(0, "claim", None, until=UNANSWERED), asked(1, "claim", None), asked(15, "claim", 2)],
        [asked(0, "claim", None, until=UNANSWERED), asked(1, "claim", 1)],
        [CLAIMED, asked(1, "end", attempt=1, value="crashed"), asked(2, "end", attempt=1, value="crashed")],
    ],
)
def test_what_one_job_could_have_given_is_explained(history):
    assert unexplained(history, lease_seconds=10) is None


@pytest.mark.parametrize(
    "history",
    [
        # Handed out twice, and lost before its time.
        [CLAIMED, asked(1, "claim", 1)],
        [CLAIMED, asked(1, "claim", 2)],
        [CLAIMED, asked(8, "renew", attempt=1), asked(12, "claim", 2)],
        # A write that was acknowledged and is gone, and one of a lost attempt that is there.
        [CLAIMED, asked(1, "write", attempt=1, value=5), asked(2, "read", ("Running", 1, None))],
        [CLAIMED, asked(20, "claim", 2), asked(21, "write", attempt=1, value=5)],
        # Refused although nothing was in the way.
        [asked(0, "claim", None)],
        [CLAIMED, asked(1, "restart")],
    ],
)
def test_what_no_job_could_have_given_is_not(history):
    assert unexplained(history, lease_seconds=10) is not None
