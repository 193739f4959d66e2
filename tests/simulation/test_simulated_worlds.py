"""The real services in simulated worlds of a few seeds; more of them by ``make simulate``."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from attrs import evolve

from tests.simulation import routes, runs_by_hand, world
from tests.simulation.conditions import conditions_of
from tests.simulation.story import play
from xfworker.adapters.disk import file_store
from xfworker.adapters.disk.partial_uploads import PartialUpload
from xfworker.domain.change import Change
from xfworker.domain.conversion import from_json
from xfworker.domain.errors import FileNotInStore
from xfworker.domain.job_state import JobState
from xfworker.domain.resources import Needs
from xfworker.services.platform import queue, registration, restarts, server
from xfworker.services.platform.idempotency import IdempotentRequest
from xfworker.services.platform.platform import Platform
from xfworker.services.script import lifecycle
from xfworker.services.transfers.transfers import Transfers
from xfworker.services.worker import job_executor

_ROOT = Path(__file__).parent.parent.parent
ROUGH = range(2, 52, 2)
BUSY = 101, 103
DIRECT = {"messages": False, "files_on_disk": False}


@pytest.mark.parametrize("seed", [*ROUGH, *BUSY])
def test_whatever_goes_wrong_no_job_is_lost_or_done_twice(seed):
    story = play(seed)
    assert not story.violations, f"make simulate SEED={seed} tells the story"


def test_a_seed_tells_the_same_story_whatever_the_order_of_hashes():
    code = "from tests.simulation.story import play; s = play(54); print(s.happened, s.jobs, s.seconds, s.violations)"

    def told(hash_seed):
        return subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            cwd=_ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout

    first = told("1")
    assert first.strip()
    assert first == told("2")


@pytest.fixture
def quiet(monkeypatch):
    """Let nothing go wrong but what is named."""

    def only(*kinds, chance=0.3, **conditions):
        def quiet_conditions(luck):
            made = conditions_of(luck)
            chances = {what: chance if what in kinds else 0.0 for what in made.chances}
            return evolve(made, chances=chances, **conditions)

        monkeypatch.setattr(world, "conditions_of", quiet_conditions)

    return only


def noticed(violation, seeds=range(2, 22, 2)):
    """Return whether one of the seeds leads to a violation."""
    return any(violation in str(play(seed).violations) for seed in seeds)


def test_a_file_that_is_published_without_a_look_at_the_lease_is_noticed(quiet, monkeypatch):
    quiet("worker suspended", "worker dies", "orphan", "upload slow", files_on_disk=False)
    monkeypatch.setattr(Platform, "_require_file_rights", lambda *_, **__: None)
    assert noticed("publishes a file while it is")


def test_a_job_that_is_spawned_again_by_a_script_that_runs_again_is_noticed(quiet, monkeypatch):
    quiet("worker dies", "orphan", "upload slow", "person restarts", chance=0.4, work_seconds=2.0, **DIRECT)
    monkeypatch.setattr(server, "existing", lambda *_: None)
    assert noticed("doubled")


def test_a_job_that_goes_to_a_worker_which_offers_too_little_is_noticed(monkeypatch):
    monkeypatch.setattr(Needs, "lacking", lambda *_: [])
    assert "went to a worker of a version that offers none" in str(play(20).violations)


def test_what_a_newer_worker_says_of_itself_is_missed_where_an_older_server_drops_it(monkeypatch):
    monkeypatch.setattr(routes, "from_json", lambda kind, body: evolve(from_json(kind, body), extra={}))
    assert "of a newer version is kept with {}" in str(play(1050).violations)


def test_a_file_that_gets_its_name_before_its_content_is_on_the_disk_is_noticed(quiet, monkeypatch):
    quiet("power cut", chance=0.05, files_on_disk=True, messages=False)
    rename, flush = file_store.rename, file_store.flush_file

    def renamed_too_early(partial, target):
        rename(partial, target)
        flush(target)

    monkeypatch.setattr(file_store, "flush_file", lambda _: None)
    monkeypatch.setattr(file_store, "rename", renamed_too_early)
    assert noticed("after a power cut")


def test_a_stored_file_whose_folder_is_not_flushed_is_noticed(monkeypatch):
    monkeypatch.setattr(file_store, "_flush_name_of", lambda *_: None)
    assert "after a power cut" in str(play(12).violations)


def test_a_restarted_job_that_does_not_wait_for_the_template_is_noticed(quiet, monkeypatch):
    quiet("script crash", chance=0.2, runs=8, run_seconds=1.0, work_seconds=20.0, workers=3, concurrency=4, **DIRECT)
    monkeypatch.setattr(restarts, "may_define", lambda *_: True)
    assert noticed("has None in place of", range(8, 12, 2))


def test_a_worker_that_gives_jobs_back_loses_no_attempt(quiet, monkeypatch):
    quiet("worker dropped", "upload slow", messages=True)
    assert not play(2).violations
    monkeypatch.setattr(job_executor, "InvalidContent", LookupError)
    assert "although nothing went wrong" in str(play(2).violations)


def test_a_lease_that_is_not_kept_while_a_log_is_stored_is_noticed(quiet, monkeypatch):
    quiet("worker dropped", "upload slow", messages=False)
    hand_back = job_executor.JobExecutor.hand_back

    def hand_back_late(executor, lease, reason, log_path=None):
        executor.keep_log(lease, log_path)
        return hand_back(executor, lease, reason)

    assert not play(132).violations
    monkeypatch.setattr(job_executor.JobExecutor, "hand_back", hand_back_late)
    assert "although nothing went wrong" in str(play(132).violations)


def test_a_job_that_one_request_restarts_twice_is_noticed(quiet, monkeypatch):
    quiet("person restarts", "request doubled", chance=0.9, runs=12, run_seconds=60.0, work_seconds=2.0, **DIRECT)
    assert not play(2).violations
    replayed = IdempotentRequest.replayed

    def replayed_but_moves(request, *arguments):
        is_move = request.content[0] in {"restart job", "abort job"}
        return None if is_move else replayed(request, *arguments)

    monkeypatch.setattr(IdempotentRequest, "replayed", replayed_but_moves)
    assert "twice, now to" in str(play(2).violations)


def test_two_computers_of_one_name_that_are_taken_for_one_are_noticed(quiet, monkeypatch):
    quiet(names="alike", workers=2, messages=True, runs=2)
    assert not play(2).violations
    monkeypatch.setattr(registration, "INSTANCE", "computer")
    assert "is not a worker of its own" in str(play(2).violations)


def test_a_job_that_runs_and_is_claimed_by_its_serial_is_noticed(quiet, monkeypatch):
    quiet("job run by hand", messages=False)
    assert not play(4).violations
    monkeypatch.setattr(queue, "_CLAIMABLE", frozenset(JobState))
    monkeypatch.setattr(runs_by_hand, "JobState", SimpleNamespace(READY=JobState.RUNNING))
    assert noticed("changed its attempt and is Running as before")


def test_a_message_of_a_script_that_is_written_twice_is_noticed(monkeypatch):
    monkeypatch.setattr(IdempotentRequest, "replayed", lambda *_: None)
    assert "messages of scripts are doubled" in str(play(36).violations)


def test_what_a_script_says_beside_its_outputs_is_missed_where_its_end_drops_it(monkeypatch):
    finish_job = lifecycle.finish_job

    def finish_without_edits(session, _, outputs, *, expected_version):
        return finish_job(session, Change(values={}), outputs, expected_version=expected_version)

    monkeypatch.setattr(lifecycle, "finish_job", finish_without_edits)
    assert "is done in attempt 4 and says (60.0, None)" in str(play(2).violations)


def test_an_upload_that_goes_on_behind_where_it_broke_off_is_noticed(monkeypatch):
    def offset(upload):
        there = upload.data.stat().st_size if upload.completed is None else upload.size
        return min(there + 1, upload.size) if there else 0

    monkeypatch.setattr(PartialUpload, "offset", property(offset))
    assert "half a file" in str(play(2).violations)


def test_scripts_read_files_where_they_lie_on_a_share_that_their_machine_has(monkeypatch):
    located = []
    locate = Transfers.locate

    def noted(transfers, token, resource):
        found = locate(transfers, token, resource)
        located.append(found is not None)
        return found

    monkeypatch.setattr(Transfers, "locate", noted)
    assert not play(60).violations
    assert set(located) == {True, False}


def test_an_image_whose_pixels_stay_those_of_an_earlier_attempt_is_noticed(quiet, monkeypatch):
    quiet("person restarts", chance=0.9, runs=3, run_seconds=60.0, work_seconds=2.0, **DIRECT)
    assert not play(50).violations
    store = Transfers.store

    def stored_unless_there(transfers, token, source, resource, **options):
        with suppress(FileNotInStore):
            if resource.filename.endswith(".raw"):
                return transfers.files.stat(token, resource)
        return store(transfers, token, source, resource, **options)

    monkeypatch.setattr(Transfers, "store", stored_unless_there)
    assert "is done in attempt 2, and its file holds None" in str(play(50).violations)
