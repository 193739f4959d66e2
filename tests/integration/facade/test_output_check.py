"""Outputs that do not fit: refused, or, where a lab wants that, let pass with a warning."""

import pytest

from tests.contract.suites.facade_project import ScriptProject, http_place
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent


@pytest.fixture(scope="module")
def lenient(tmp_path_factory):
    with http_place(tmp_path_factory.mktemp("lenient"), database="memory:", outputs_must_fit=False) as made:
        yield made


def test_a_lenient_server_lets_them_pass_with_a_warning(lenient, tmp_path, capsys):
    script_project = ScriptProject.make(lenient, tmp_path)
    worker = script_project.worker()
    worker.finish({"volume": -1, "nonsense": 2})
    kept = script_project.job(worker.job["serial"])
    assert (kept.state, kept.outputs) == (JobState.DONE, {"volume": -1, "nonsense": 2})
    assert [fault.split(":")[0] for fault in kept.metadata["output_faults"]] == ["outputs.volume", "outputs.nonsense"]
    assert "below the minimum 0" in capsys.readouterr().err
    warned = script_project.admin.find(ActivityEvent, {"job_serial": kept.serial, "level": "WARNING"})
    assert [event.payload["faults"] for event in warned] == [kept.metadata["output_faults"]]


def test_outputs_that_fit_leave_no_warning_of_an_earlier_attempt(lenient, tmp_path):
    script_project = ScriptProject.make(lenient, tmp_path)
    job = script_project.new_job(metadata={"output_faults": ["old"]})
    script_project.worker(job).finish({"volume": 1})
    assert "output_faults" not in script_project.job(job.serial).metadata


def test_a_spawned_job_is_let_pass_as_well(lenient, tmp_path):
    script_project = ScriptProject.make(lenient, tmp_path)
    worker = script_project.worker()
    with worker.server_connection() as connection:
        job = worker.spawn_xf_job_basic(
            connection,
            {"serial": script_project.task_type.serial},
            {"serial": script_project.task.serial},
            outputs={"volume": "much"},
        )
    assert len(job["metadata"]["output_faults"]) == 1
