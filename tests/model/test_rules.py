"""The platform's rules as a whole, by random commands and a small model of them, over every kind of record store."""

import logging

import pytest
import structlog
from hypothesis import Phase

from tests.model.stores import STORES, over_memory, play
from xfworker.domain.job_state import JobState
from xfworker.services.platform import queue, restarts, server
from xfworker.services.platform.access import Access
from xfworker.services.platform.idempotency import IdempotentRequest

# Always the same ones; `make model EXAMPLES=1000` plays new ones.
EXAMPLES = {"memory": 30, "SQLite": 6, "PostgreSQL": 5}


@pytest.fixture(autouse=True)
def _quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("store", STORES)
def test_the_platform_does_what_the_model_does(store, tmp_path):
    with STORES[store](tmp_path) as machine:
        play(machine, EXAMPLES[store], always_the_same=True)
    assert machine.commands > 20 * EXAMPLES[store]


BROKEN = {
    "a script writes after its attempt has ended": (Access, "require_live", lambda *_, **__: None),
    "a job that runs is handed out a second time": (queue, "_CLAIMABLE", tuple(JobState)),
    "a worker gets jobs of projects that its owner does not see": (Access, "may_run_in", lambda *_: True),
    "what was made from a job stays when that is restarted": (restarts, "made_from", lambda *_: []),
    "a request that is repeated is carried out again": (IdempotentRequest, "replayed", lambda *_: None),
    "a change that was made from an older record is taken": (server, "require_version", lambda *_: None),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_model_notices_when(what, monkeypatch, tmp_path):
    monkeypatch.setattr(*BROKEN[what])
    with over_memory(tmp_path) as machine, pytest.raises(AssertionError):
        play(machine, 60, always_the_same=True, phases=[Phase.generate])
