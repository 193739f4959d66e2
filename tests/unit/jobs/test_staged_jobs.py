"""What is staged for a run: projects, task types, files of people, sequences; and tables of what came of it."""

import pytest

from xfworker.domain.files import Scope
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Run, Task, TaskType, Workflow
from xfworker.services.jobs.result_table import cell, result_table
from xfworker.services.jobs.staging import (
    StagedFile,
    StagedSequence,
    StagePlan,
    ensure_task_type,
    new_run,
    new_workflow,
    stage_job,
)
from xfworker.services.jobs.user_files import store_user_file, user_resources
from xfworker.services.transfers.observed import observed_transfers


def staged(tmp_path, *names, kind="Image", size=None):
    paths = tuple(tmp_path / name for name in names)
    for path in paths:
        path.write_bytes(path.name.encode())
    return StagedFile(type=kind, paths=paths, size=size)


def content(xf_platform, resource):
    token = xf_platform.server.file_token([Scope("read", resource)])
    return b"".join(xf_platform.files.open_read(token, resource))


def test_files_of_a_person_are_stored_in_a_folder_of_their_own_and_named_by_one_parameter(tmp_path, xf_platform):
    file = staged(tmp_path, "scan.omni", "scan.raw", size=(4, 3, 2))
    resources = user_resources(file)
    seen = []
    with observed_transfers(seen.append):
        parameter = store_user_file(xf_platform.server, xf_platform.files, file, resources)
    assert {(event.direction, event.file) for event in seen} == {("upload", f"{resource}") for resource in resources}
    assert parameter == {
        "type": "Image",
        "source": "userdata",
        "virtualpath": "/".join(resources[0].segments[1:]),
        "filename": "scan.omni",
        "size": [4, 3, 2],
        "filenames": ["scan.raw"],
    }
    assert [content(xf_platform, resource) for resource in resources] == [b"scan.omni", b"scan.raw"]
    assert user_resources(file) != resources


def test_one_file_of_a_person_names_no_others(tmp_path, xf_platform):
    file = staged(tmp_path, "notes.txt", kind="ForeignFile")
    parameter = store_user_file(xf_platform.server, xf_platform.files, file, user_resources(file))
    assert {"size", "filenames"}.isdisjoint(parameter)


def test_a_workflow_goes_into_the_project_that_is_named_or_one_that_is_made(xf_platform):
    server = xf_platform.server
    project = server.create(Project(name="mice"))
    assert new_workflow(server, "a", "mice").project_serial == project.serial
    assert new_workflow(server, "a", project_serial=project.serial).project_serial == project.serial
    own = new_workflow(server, "rats")
    assert server.get(Project, own.project_serial).name == "rats"
    assert new_workflow(server, "rats").project_serial == own.project_serial


def test_a_task_type_of_another_interface_is_made_beside_the_one_that_is_there(xf_platform):
    make = lambda interface: ensure_task_type(xf_platform.server, "Lab.Mean", "1.0.0.0", interface).serial  # noqa: E731
    first = make({"inputs": []})
    assert (make({"inputs": []}), make({"outputs": []}) != first) == (first, True)


def test_the_values_of_sequences_belong_to_runs_in_pairs_and_their_files_are_stored(tmp_path, xf_platform):
    notes = [staged(tmp_path, f"{name}.txt", kind="ForeignFile") for name in "ab"]
    plan = StagePlan(
        name="pairs",
        task_type="Lab.Pairs",
        sequences={"volume": StagedSequence(values=(1.5, 2.5)), "note": StagedSequence(values=tuple(notes))},
    )
    job = stage_job(xf_platform.server, xf_platform.files, plan)
    tasks = [job.inputs[key]["task_serial"] for key in ("volume", "note")]
    task_type = xf_platform.server.get(Task, tasks[0]).task_type_serial
    assert xf_platform.server.get(TaskType, task_type).name == "xfworker.Values"
    assert job.inputs["note"] == {"type": "Sequence", "task_serial": tasks[1], "key": "note"}
    made = [xf_platform.server.find(Job, {"task_serial": task}) for task in tasks]
    assert [[one.run_serial for one in jobs] for jobs in made] == [[one.run_serial for one in made[0]]] * 2
    assert [one.outputs["volume"] for one in made[0]] == [1.5, 2.5]
    assert [one.outputs["note"] for one in made[1]] == [
        {"type": "ForeignFile", "source": "job_result", "job_serial": one.serial, "filename": name}
        for one, name in zip(made[1], ("a.txt", "b.txt"), strict=True)
    ]
    assert {one.state for jobs in made for one in jobs} == {JobState.DONE}


def test_files_of_one_name_do_not_replace_each_other(tmp_path, xf_platform):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    files = {
        "first": staged(tmp_path / "one", "scan.raw"),
        "second": staged(tmp_path / "two", "SCAN.raw"),
        "third": staged(tmp_path, "other.omni", "other.raw", "other.log"),
        "fourth": staged(tmp_path / "one", "OTHER.raw"),
    }
    seen = []
    with observed_transfers(seen.append):
        job = stage_job(xf_platform.server, xf_platform.files, StagePlan(name="t", task_type="T", files=files))
    places = {key: (job.inputs[key]["job_serial"], job.inputs[key]["filename"]) for key in files}
    assert places["first"][0] == places["third"][0] != places["second"][0] == places["fourth"][0]
    assert {name for _, name in places.values()} == {"scan.raw", "SCAN.raw", "other.omni", "OTHER.raw"}
    assert job.inputs["third"]["filenames"] == ["other.raw", "other.log"]
    assert {event.direction for event in seen} == {"upload"}
    assert xf_platform.server.get(Run, job.run_serial).source_job_serial == places["first"][0]
    sources = [xf_platform.server.get(Job, serial) for serial in dict(places.values())]
    assert [one.name for one in sources] == ["Files"] * 2
    task = xf_platform.server.get(Task, sources[0].task_serial)
    task_type = xf_platform.server.get(TaskType, task.task_type_serial)
    assert (task.name, task_type.name, task_type.version) == ("Files", "xfworker.Files", "1.0.0.0")


def test_a_job_goes_on_in_the_run_that_its_source_started(xf_platform):
    server = xf_platform.server
    workflow = new_workflow(server, "w")
    run = server.create(Run(workflow_serial=workflow.serial))
    source = Job(serial=7, task_serial=1, workflow_serial=workflow.serial, run_serial=run.serial)
    assert new_run(server, workflow, "x", source).serial == run.serial
    assert new_run(server, workflow, "x", None).serial != run.serial


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"type": "Image", "filename": "a.omni"}, "a.omni"),
        ({"type": "Chart"}, "Chart"),
        ({"source": "userdata", "virtualpath": "scans/a.isq"}, "scans/a.isq"),
        ({"left": 1}, "object"),
        ([{"name": "left"}, 2, "x"], "left; 2; x"),
        (True, True),
    ],
)
def test_a_cell_names_what_it_is_of(value, shown):
    assert cell(value) == shown


def test_outputs_of_several_jobs_of_a_task_in_one_run_have_columns_of_their_own_and_units_that_are_malformed_none():
    def job(serial, run=1, **metadata):
        return Job(
            serial=serial, task_serial=1, run_serial=run, outputs={"n": serial}, state=JobState.DONE, metadata=metadata
        )

    table = result_table(
        [Run(serial=1, workflow_serial=1), Run(serial=2, workflow_serial=1)],
        [Task(serial=1, workflow_serial=1, task_type_serial=1, name="T")],
        [job(1, output_units=["mm"]), job(2), job(4, run=2), job(3, output_units={"n": "mm"})],
    )
    assert list(table.columns[-3:]) == ["T.n", "T.n (2)", "T.n (3) [mm]"]


def test_a_workflow_is_not_looked_for_in_projects_that_are_put_away(xf_platform):
    old = xf_platform.server.create(Project(name="mice", obsolete=True))
    workflow: Workflow = new_workflow(xf_platform.server, "mice")
    assert workflow.project_serial != old.serial
