"""A server as people see it in a notebook."""

import sys

import numpy as np
import pytest

import xfworker
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.api.demo.phantom import write_phantom
from xfworker.api.notebook.table import Table, table
from xfworker.domain.errors import JobError, RecordNotFound, UsageError
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.services.jobs.staging import StagedFile, stage_files
from xfworker.testing.contracts.worlds import Setting, http_world


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    data = tmp_path_factory.mktemp("served")
    with http_world(data, f"sqlite:///{(data / 'own.sqlite').as_posix()}") as world:
        yield data, world


@pytest.fixture
def lab(served):
    with xfworker.connect(served[0]) as lab:
        yield lab


def column(found, name):
    return list(found[name])


def test_runs_are_a_table_with_samples_units_and_values(served, lab):
    world = served[1]
    setting = Setting.make(world)
    serial = lab.start(setting.workflow.serial, name="left", sample="mouse 7")
    world.admin.create(
        Job(
            task_serial=setting.task.serial,
            run_serial=serial,
            state=JobState.DONE,
            outputs={"volume": 1.5},
            metadata={"output_units": {"volume": "mm³"}},
        )
    )
    runs = lab.runs(setting.workflow.serial)
    row = column(runs, "run").index(serial)
    assert column(runs, "sample")[row] == "mouse 7"
    assert column(runs, f"{setting.task.name}.volume [mm³]")[row] == 1.5
    assert serial in column(lab.jobs(run=serial), "run")
    assert lab.sequence(setting.task.serial, "volume") == [1.5]
    with pytest.raises(UsageError, match="states are"):
        lab.jobs(state="Finished")
    with pytest.raises(RecordNotFound, match="there is no workflow 'none'"):
        lab.runs("none")


def test_an_image_is_fetched_once_and_opened(served, lab, tmp_path):
    world = served[1]
    setting = Setting.make(world)
    write_phantom(tmp_path / "scan.aim")
    staged = {"image": StagedFile(type="Image", paths=(tmp_path / "scan.aim",), size=(1, 1, 1))}
    parameters, job = stage_files(world.admin, HttpFileStore(), setting.workflow, staged)
    image = lab.image(job.serial, "image")
    assert np.asarray(image.pixels[:]).ndim == 3
    assert lab.files(job.serial, "image") == lab.files(job.serial, "image")
    assert lab.job(job.serial)["outputs"] == parameters
    with pytest.raises(UsageError, match="it has: image"):
        lab.image(job.serial, "mask")


def test_waiting_ends_with_the_run_or_says_what_goes_on(served, lab):
    world = served[1]
    setting = Setting.make(world)
    job = setting.job()
    run = world.admin.get(Job, job.serial).run_serial
    with pytest.raises(JobError, match=f"job {job.serial} is Ready"):
        lab.wait(run, timeout_seconds=0)
    lease = setting.leased(job)
    world.queue.end(lease, Outcome(ending=Ending.CRASHED, message="broken"))
    assert column(lab.wait(run), "state") == ["Failed"]
    assert column(lab.wait(run), "error") == ["broken"]
    assert lab.log(job.serial) == ""
    assert lab.restart(job.serial) == "Ready"
    assert lab.abort(job.serial) == "Aborted"


def test_without_pandas_a_table_shows_itself(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setattr("xfworker.api.notebook.table.find_spec", lambda _: None)
    found = table(("run", "<note>"), [{"run": 1, "<note>": "a & b"}, {"run": 22}])
    assert isinstance(found, Table)
    assert repr(found).splitlines() == ["run  <note>", "1    a & b", "22"]
    assert "<th>&lt;note&gt;</th>" in found._repr_html_()
    assert "a &amp; b" in found._repr_html_()
    assert (found["run"], len(found)) == ([1, 22], 2)
    with pytest.raises(KeyError, match="columns are run"):
        found["runs"]


def test_with_pandas_a_table_is_a_data_frame():
    assert list(table(("run",), [{"run": 1}])["run"]) == [1]
