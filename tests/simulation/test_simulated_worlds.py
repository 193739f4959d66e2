"""The real services in simulated worlds of a few seeds; more of them by ``make simulate``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from tests.simulation import routes
from tests.simulation.world import play
from xfworker.adapters.disk import file_store
from xfworker.adapters.disk.partial_uploads import PartialUpload
from xfworker.domain.conversion import from_json
from xfworker.domain.resources import Needs
from xfworker.services.platform import restarts, server
from xfworker.services.platform.platform import Platform

_ROOT = Path(__file__).parent.parent.parent
ROUGH = range(2, 52, 2)
BUSY = 101, 103


@pytest.mark.parametrize("seed", [*ROUGH, *BUSY])
def test_whatever_goes_wrong_no_job_is_lost_or_done_twice(seed):
    story = play(seed)
    assert not story.violations, f"make simulate SEED={seed} tells the story"


def test_a_seed_tells_the_same_story_whatever_the_order_of_hashes():
    code = "from tests.simulation.world import play; s = play(54); print(s.happened, s.jobs, s.seconds, s.violations)"

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


def test_a_file_that_is_published_without_a_look_at_the_lease_is_noticed(monkeypatch):
    monkeypatch.setattr(Platform, "_require_file_rights", lambda *_, **__: None)
    [violation] = play(12).violations
    assert "publishes a file while it is" in violation


def test_a_job_that_is_spawned_again_by_a_script_that_runs_again_is_noticed(monkeypatch):
    monkeypatch.setattr(server, "existing", lambda *_: None)
    violations = str(play(68).violations)
    assert "doubled" in violations or "made 2 tasks" in violations


def test_a_job_that_goes_to_a_worker_which_offers_too_little_is_noticed(monkeypatch):
    monkeypatch.setattr(Needs, "lacking", lambda *_: [])
    assert "went to a worker of a version that offers none" in str(play(20).violations)


def test_what_a_newer_worker_says_of_itself_is_missed_where_an_older_server_drops_it(monkeypatch):
    monkeypatch.setattr(routes, "from_json", lambda kind, body: evolve(from_json(kind, body), extra={}))
    assert "of a newer version is kept with {}" in str(play(1050).violations)


def test_a_file_that_gets_its_name_before_its_content_is_on_the_disk_is_noticed(monkeypatch):
    rename, flush = file_store.rename, file_store.flush_file

    def renamed_too_early(partial, target):
        rename(partial, target)
        flush(target)

    monkeypatch.setattr(file_store, "flush_file", lambda _: None)
    monkeypatch.setattr(file_store, "rename", renamed_too_early)
    assert "after a power cut" in str(play(78).violations)


def test_a_stored_file_whose_folder_is_not_flushed_is_noticed(monkeypatch):
    monkeypatch.setattr(file_store, "_flush_name_of", lambda *_: None)
    assert "after a power cut" in str(play(12).violations)


def test_a_restarted_job_that_does_not_wait_for_the_template_is_noticed(monkeypatch):
    monkeypatch.setattr(restarts, "may_define", lambda *_: True)
    assert "has None in place of 'of job 9'" in str(play(1004).violations)


def test_an_upload_that_goes_on_behind_where_it_broke_off_is_noticed(monkeypatch):
    def offset(upload):
        there = upload.data.stat().st_size if upload.completed is None else upload.size
        return min(there + 1, upload.size) if there else 0

    monkeypatch.setattr(PartialUpload, "offset", property(offset))
    assert "half a file" in str(play(2).violations)
