"""Scripts in the way of the official examples, run as workers run them: a process, an environment, HTTP."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.contract.suites.facade_project import ScriptProject, http_place
from xfworker.api.composition.module_folders import SHIM_FOLDER as SHIMS
from xfworker.api.facade import omni
from xfworker.domain.files import Scope, reference_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job, Run, Task
from xfworker.testing.contracts.sns_server import isq_file

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "examples" / "scripts"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with http_place(tmp_path_factory.mktemp("scripts"), database="memory:") as made:
        yield made


@pytest.fixture
def script_project(place, tmp_path):
    return ScriptProject.make(place, tmp_path)


def script_environment(script_project, job):
    """Give the environment that a worker gives to a job's script."""
    return {
        **os.environ,
        **script_project.arguments(job).to_environment(),
        "XFTEMP": str(script_project.folder),
        "PYTHONPATH": os.pathsep.join([str(SHIMS), str(ROOT)]),
    }


def run_script(script_project, job, script):
    command = [sys.executable, str(script)] if isinstance(script, Path) else [sys.executable, "-c", script]
    return subprocess.run(
        command,
        env=script_environment(script_project, job),
        capture_output=True,
        text=True,
        check=False,
        cwd=script_project.folder,
    )


def image_parameter(script_project, values, name="scan"):
    """Store an image as the result of a job and give the parameter for it."""
    job = script_project.new_job()
    folder = script_project.folder / f"{name}-{job.serial}"
    folder.mkdir()
    image = omni.create_image(
        folder / f"{name}.omni",
        size=values.shape[::-1],
        pixel_type=str(values.dtype),
        calibrations=[omni.Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.5, intercept=-100.0)],
        default_unit_type="Density",
    )
    image.pixels = values
    image.save()
    for path in (image.metadata_path, *image.pixels_paths()):
        script_project.put(f"job_result/{job.serial}/{path.name}", path.read_bytes())
    return {
        "type": "Image",
        "source": "job_result",
        "job_serial": job.serial,
        "filename": f"{name}.omni",
        "filenames": [f"{name}.raw"],
        "size": list(values.shape[::-1]),
    }


def fetched(script_project, reference, folder):
    resource = reference_resource(reference)
    target = folder / resource.filename
    script_project.place.files.download(script_project.admin.file_token([Scope("read", resource)]), resource, target)
    return target


def job_of(script_project, inputs, outputs):
    interface = {
        "inputs": [{"key": key, "type": kind, "supported_modes": ["none", "ui"]} for key, kind in inputs.items()],
        "outputs": [{"key": key, "type": kind} for key, kind in outputs.items()],
    }
    return script_project.new_task(f"T{script_project.project.serial}", interface)


THRESHOLD = ({"image": "Image", "unit_type": "String", "lower": "Float", "upper": "Float"}, {"segments": "Image"})


def test_threshold_with_calibration(script_project):
    values = np.arange(-60, 60, dtype=np.int16).reshape(5, 4, 6) * 20
    task = job_of(script_project, *THRESHOLD)
    job = script_project.new_job(
        task,
        inputs={
            "image": image_parameter(script_project, values),
            "unit_type": "Density",
            "lower": 100.0,
            "upper": 300.0,
        },
    )
    done = run_script(script_project, job, SCRIPTS / "threshold.py")
    assert done.returncode == 0, done.stderr
    kept = script_project.job(job.serial)
    assert kept.state is JobState.DONE
    assert kept.metadata["progress_percentage"] == 100
    parameter = kept.outputs["segments"]
    assert (parameter["filename"], parameter["filenames"]) == ("scan_seg.omni", ["scan_seg.raw"])
    for name in (parameter["filename"], *parameter["filenames"]):
        fetched(script_project, {**parameter, "filename": name}, script_project.folder)
    segments = omni.open_image(script_project.folder / "scan_seg.omni")
    density = values * 0.5 - 100
    assert segments.kind == "segments"
    assert np.array_equal(segments.pixels != 0, (density >= 100) & (density <= 300))
    assert not list(script_project.folder.glob("xf-job-*"))


def test_threshold_without_the_calibration_is_an_error_of_the_script(script_project):
    task = job_of(script_project, *THRESHOLD)
    image = image_parameter(script_project, np.zeros((2, 2, 2), np.int16))
    job = script_project.new_job(task, inputs={"image": image, "unit_type": "HU", "lower": 1.0})
    done = run_script(script_project, job, SCRIPTS / "threshold.py")
    assert done.returncode == 81
    assert script_project.job(job.serial).metadata["error_message"] == "The image has no calibration to HU."
    assert len(list(script_project.folder.glob("xf-job-*"))) == 1


MIN_MAX = ({"image": "Image", "mask": "Image"}, {"min": "Float", "max": "Float", "report": "ForeignFile"})


def test_minimum_and_maximum_with_and_without_a_mask(script_project):
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    mask = ((values > 4) & (values < 9)).astype(np.uint8)
    task = job_of(script_project, *MIN_MAX)
    image = image_parameter(script_project, values)
    masked = script_project.new_job(
        task, inputs={"image": image, "mask": image_parameter(script_project, mask, "mask")}
    )
    done = run_script(script_project, masked, SCRIPTS / "masked_min_max.py")
    assert done.returncode == 0, done.stderr
    outputs = script_project.job(masked.serial).outputs
    assert (outputs["min"], outputs["max"]) == (5, 8)
    assert fetched(script_project, outputs["report"], script_project.folder).read_text() == '{"min": 5.0, "max": 8.0}'
    plain = script_project.new_job(task, inputs={"image": image})
    assert run_script(script_project, plain, SCRIPTS / "masked_min_max.py").returncode == 0
    assert (script_project.job(plain.serial).outputs["min"], script_project.job(plain.serial).outputs["max"]) == (0, 23)


def test_an_exception_becomes_the_error_message(script_project):
    values = np.zeros((2, 3, 4), dtype=np.int16)
    task = job_of(script_project, *MIN_MAX)
    inputs = {
        "image": image_parameter(script_project, values),
        "mask": image_parameter(script_project, values.astype(np.uint8), "mask"),
    }
    job = script_project.new_job(task, inputs=inputs)
    done = run_script(script_project, job, SCRIPTS / "masked_min_max.py")
    assert done.returncode == 1
    message = script_project.job(job.serial).metadata["error_message"]
    assert message.startswith("ValueError: The mask is empty. (masked_min_max.py, line ")
    assert "Traceback" in done.stderr


def test_a_search_spawns_runs_of_two_jobs_once(script_project):
    base = f"search{script_project.project.serial}"
    for name in ("a.isq", "deep/er/b.ISQ", "deep/notes.txt"):
        script_project.put(f"userdata/{base}/{name}", isq_file())
    task = job_of(script_project, {"folder": "Folder"}, {"found": "Int"})
    folder = {"type": "Folder", "virtualpath": f"{base}/"}
    first = script_project.new_job(task, inputs={"folder": folder})
    done = run_script(script_project, first, SCRIPTS / "search_user_data.py")
    assert done.returncode == 0, done.stderr
    assert script_project.job(first.serial).outputs == {"found": 2}

    def spawned():
        tasks = script_project.admin.find(Task, {"workflow_serial": script_project.workflow.serial})
        mine = {found.spawn_key: found.serial for found in tasks}
        return [
            script_project.admin.find(Job, {"task_serial": mine[key], "state": JobState.DONE})
            for key in ("example-samples", "example-scans")
        ]

    samples, scans = spawned()
    assert [job.outputs["scan"]["virtualpath"] for job in scans] == [f"{base}/a.isq", f"{base}/deep/er/b.ISQ"]
    assert [job.run_serial for job in samples] == [job.run_serial for job in scans]
    runs = [script_project.admin.get(Run, job.run_serial) for job in samples]
    assert [run.entity["name"] for run in runs] == ["a", "b"]
    assert len({run.entity["uuid"] for run in runs}) == 2
    orders = [order for pair in zip(samples, scans, strict=True) for order in (pair[0].sort_order, pair[1].sort_order)]
    assert orders == sorted(orders)
    found = script_project.admin.find(ActivityEvent, {"job_serial": first.serial, "title": "Found 2 new scans"})
    assert len(found) == 1

    script_project.put(f"userdata/{base}/c.isq", isq_file())
    second = script_project.new_job(task, inputs={"folder": folder})
    assert run_script(script_project, second, SCRIPTS / "search_user_data.py").returncode == 0
    assert script_project.job(second.serial).outputs == {"found": 1}
    assert [len(jobs) for jobs in spawned()] == [3, 3]
