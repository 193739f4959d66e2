"""The results of a workflow as a table."""

import csv
import io
from datetime import UTC, datetime

from xfworker.api.cli.workflow_results import written_csv
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, Task
from xfworker.services.jobs.result_table import RUN_COLUMNS, result_table

TASKS = [
    Task(serial=1, workflow_serial=1, task_type_serial=1, name="Threshold"),
    Task(serial=2, workflow_serial=1, task_type_serial=2, name="Statistics"),
]


def run(serial, sample="mouse", **more):
    return Run(
        serial=serial, workflow_serial=1, name=f"run {serial}", entity={"uuid": f"u{serial}", "name": sample}, **more
    )


def job(serial, task, run_serial, outputs, units=None, state=JobState.DONE):
    metadata = {} if units is None else {"output_units": units}
    return Job(serial=serial, task_serial=task, run_serial=run_serial, outputs=outputs, state=state, metadata=metadata)


def rows(*jobs, runs):
    return result_table(runs, TASKS, jobs)


def test_every_run_is_a_row_with_its_sample_and_units():
    table = rows(
        job(1, 1, 1, {"mask": {"type": "Image", "filename": "mask.omni"}}),
        job(2, 2, 1, {"volume": 1.5, "count": 3}, {"volume": "mm³"}),
        job(3, 1, 2, {}, state=JobState.FAILED),
        runs=[run(1, created_at=datetime(2026, 3, 1, 12, tzinfo=UTC)), run(2, sample="rat")],
    )
    assert table.columns[len(RUN_COLUMNS) :] == ("Threshold.mask", "Statistics.volume [mm³]", "Statistics.count")
    first, second = table.rows
    assert [first[name] for name in ("run", "name", "sample", "sample_uuid", "created_at", "state")] == [
        1,
        "run 1",
        "mouse",
        "u1",
        "2026-03-01T12:00:00+00:00",
        "Done",
    ]
    assert (first["Threshold.mask"], first["Statistics.volume [mm³]"]) == ("mask.omni", 1.5)
    assert (second["sample"], second["state"], second["Statistics.count"]) == ("rat", "Failed", None)


def test_no_column_mixes_units():
    table = rows(
        job(1, 2, 1, {"volume": 1.5}, {"volume": "mm³"}),
        job(2, 2, 2, {"volume": 1500.0}, {"volume": "µm³"}),
        runs=[run(1), run(2)],
    )
    assert table.columns[len(RUN_COLUMNS) :] == ("Statistics.volume [mm³]", "Statistics.volume [µm³]")
    assert [row["Statistics.volume [mm³]"] for row in table.rows] == [1.5, None]


def test_no_value_is_lost_where_a_run_has_several_jobs_of_a_task():
    table = rows(job(1, 2, 1, {"volume": 1.5}), job(2, 2, 1, {"volume": 2.5}), runs=[run(1)])
    assert [table.rows[0][name] for name in ("Statistics.volume", "Statistics.volume (2)")] == [1.5, 2.5]


def test_obsolete_runs_are_left_out_and_group_jobs_have_a_row_of_their_own():
    table = rows(job(1, 2, 2, {"mean": 1.0}), job(2, 2, None, {"mean": 2.0}), runs=[run(1), run(2, obsolete=True)])
    assert [(row["run"], row["state"], row["Statistics.mean"]) for row in table.rows] == [
        (1, "", None),
        (None, "Done", 2.0),
    ]


def test_only_what_is_done_and_of_a_task_that_is_there_is_in_the_table():
    table = rows(
        job(1, 2, 1, {"mean": 1.0}, state=JobState.FAILED),
        job(2, 9, 1, {"mean": 2.0}),
        job(3, 2, 1, {"mean": 3.0}),
        runs=[run(1)],
    )
    assert table.columns[len(RUN_COLUMNS) :] == ("Statistics.mean",)
    assert [(row["state"], row["Statistics.mean"]) for row in table.rows] == [("Failed", 3.0)]


def test_the_csv_is_read_back_whatever_is_in_it():
    table = rows(job(1, 2, 1, {"note": 'a "b", c\nd', "volume": 0.1 + 0.2}), runs=[run(1, sample="left, old")])
    read = list(csv.DictReader(io.StringIO(written_csv(table))))
    assert read[0]["sample"] == "left, old"
    assert read[0]["Statistics.note"] == 'a "b", c\nd'
    assert float(read[0]["Statistics.volume"]) == 0.1 + 0.2
