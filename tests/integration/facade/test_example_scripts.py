"""Scripts in the way of the official examples, run as workers run them: a process, an environment, HTTP."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.contract.suites.facade_project import ScriptProject, http_place
from xfworker.api.composition.shim_folder import SHIM_FOLDER as SHIMS
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
def lab(place, tmp_path):
    return ScriptProject.make(place, tmp_path)


def script_environment(lab, job):
    """Give the environment that a worker gives to a job's script."""
    return {
        **os.environ,
        **lab.arguments(job).to_environment(),
        "XFTEMP": str(lab.folder),
        "PYTHONPATH": os.pathsep.join([str(SHIMS), str(ROOT)]),
    }


def run_script(lab, job, script):
    command = [sys.executable, str(script)] if isinstance(script, Path) else [sys.executable, "-c", script]
    return subprocess.run(
        command, env=script_environment(lab, job), capture_output=True, text=True, check=False, cwd=lab.folder
    )


def image_parameter(lab, values, name="scan"):
    """Store an image as the result of a job and give the parameter for it."""
    job = lab.new_job()
    folder = lab.folder / f"{name}-{job.serial}"
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
        lab.put(f"job_result/{job.serial}/{path.name}", path.read_bytes())
    return {
        "type": "Image",
        "source": "job_result",
        "job_serial": job.serial,
        "filename": f"{name}.omni",
        "filenames": [f"{name}.raw"],
        "size": list(values.shape[::-1]),
    }


def fetched(lab, reference, folder):
    resource = reference_resource(reference)
    target = folder / resource.filename
    lab.place.files.download(lab.admin.file_token([Scope("read", resource)]), resource, target)
    return target


def job_of(lab, inputs, outputs):
    interface = {
        "inputs": [{"key": key, "type": kind, "supported_modes": ["none", "ui"]} for key, kind in inputs.items()],
        "outputs": [{"key": key, "type": kind} for key, kind in outputs.items()],
    }
    return lab.new_task(f"T{lab.project.serial}", interface)


THRESHOLD = ({"image": "Image", "unit_type": "String", "lower": "Float", "upper": "Float"}, {"segments": "Image"})


def test_threshold_with_calibration(lab):
    values = np.arange(-60, 60, dtype=np.int16).reshape(5, 4, 6) * 20
    task = job_of(lab, *THRESHOLD)
    job = lab.new_job(
        task, inputs={"image": image_parameter(lab, values), "unit_type": "Density", "lower": 100.0, "upper": 300.0}
    )
    done = run_script(lab, job, SCRIPTS / "threshold.py")
    assert done.returncode == 0, done.stderr
    kept = lab.job(job.serial)
    assert kept.state is JobState.DONE
    assert kept.metadata["progress_percentage"] == 100
    parameter = kept.outputs["segments"]
    assert (parameter["filename"], parameter["filenames"]) == ("scan_seg.omni", ["scan_seg.raw"])
    for name in (parameter["filename"], *parameter["filenames"]):
        fetched(lab, {**parameter, "filename": name}, lab.folder)
    segments = omni.open_image(lab.folder / "scan_seg.omni")
    density = values * 0.5 - 100
    assert segments.kind == "segments"
    assert np.array_equal(segments.pixels != 0, (density >= 100) & (density <= 300))
    assert not list(lab.folder.glob("xf-job-*"))


def test_threshold_without_the_calibration_is_an_error_of_the_script(lab):
    task = job_of(lab, *THRESHOLD)
    image = image_parameter(lab, np.zeros((2, 2, 2), np.int16))
    job = lab.new_job(task, inputs={"image": image, "unit_type": "HU", "lower": 1.0})
    done = run_script(lab, job, SCRIPTS / "threshold.py")
    assert done.returncode == 81
    assert lab.job(job.serial).metadata["error_message"] == "The image has no calibration to HU."
    assert len(list(lab.folder.glob("xf-job-*"))) == 1


MIN_MAX = ({"image": "Image", "mask": "Image"}, {"min": "Float", "max": "Float", "report": "ForeignFile"})


def test_minimum_and_maximum_with_and_without_a_mask(lab):
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    mask = ((values > 4) & (values < 9)).astype(np.uint8)
    task = job_of(lab, *MIN_MAX)
    image = image_parameter(lab, values)
    masked = lab.new_job(task, inputs={"image": image, "mask": image_parameter(lab, mask, "mask")})
    done = run_script(lab, masked, SCRIPTS / "masked_min_max.py")
    assert done.returncode == 0, done.stderr
    outputs = lab.job(masked.serial).outputs
    assert (outputs["min"], outputs["max"]) == (5, 8)
    assert fetched(lab, outputs["report"], lab.folder).read_text() == '{"min": 5.0, "max": 8.0}'
    plain = lab.new_job(task, inputs={"image": image})
    assert run_script(lab, plain, SCRIPTS / "masked_min_max.py").returncode == 0
    assert (lab.job(plain.serial).outputs["min"], lab.job(plain.serial).outputs["max"]) == (0, 23)


def test_an_exception_becomes_the_error_message(lab):
    values = np.zeros((2, 3, 4), dtype=np.int16)
    task = job_of(lab, *MIN_MAX)
    inputs = {"image": image_parameter(lab, values), "mask": image_parameter(lab, values.astype(np.uint8), "mask")}
    job = lab.new_job(task, inputs=inputs)
    done = run_script(lab, job, SCRIPTS / "masked_min_max.py")
    assert done.returncode == 1
    message = lab.job(job.serial).metadata["error_message"]
    assert message.startswith("ValueError: The mask is empty. (masked_min_max.py, line ")
    assert "Traceback" in done.stderr


def test_a_search_spawns_runs_of_two_jobs_once(lab):
    base = f"search{lab.project.serial}"
    for name in ("a.isq", "deep/er/b.ISQ", "deep/notes.txt"):
        lab.put(f"userdata/{base}/{name}", isq_file())
    task = job_of(lab, {"folder": "Folder"}, {"found": "Int"})
    folder = {"type": "Folder", "virtualpath": f"{base}/"}
    first = lab.new_job(task, inputs={"folder": folder})
    done = run_script(lab, first, SCRIPTS / "search_user_data.py")
    assert done.returncode == 0, done.stderr
    assert lab.job(first.serial).outputs == {"found": 2}

    def spawned():
        tasks = lab.admin.find(Task, {"workflow_serial": lab.workflow.serial})
        mine = {found.spawn_key: found.serial for found in tasks}
        return [
            lab.admin.find(Job, {"task_serial": mine[key], "state": JobState.DONE})
            for key in ("example-samples", "example-scans")
        ]

    samples, scans = spawned()
    assert [job.outputs["scan"]["virtualpath"] for job in scans] == [f"{base}/a.isq", f"{base}/deep/er/b.ISQ"]
    assert [job.run_serial for job in samples] == [job.run_serial for job in scans]
    runs = [lab.admin.get(Run, job.run_serial) for job in samples]
    assert [run.entity["name"] for run in runs] == ["a", "b"]
    assert len({run.entity["uuid"] for run in runs}) == 2
    orders = [order for pair in zip(samples, scans, strict=True) for order in (pair[0].sort_order, pair[1].sort_order)]
    assert orders == sorted(orders)
    found = lab.admin.find(ActivityEvent, {"job_serial": first.serial, "title": "Found 2 new scans"})
    assert len(found) == 1

    lab.put(f"userdata/{base}/c.isq", isq_file())
    second = lab.new_job(task, inputs={"folder": folder})
    assert run_script(lab, second, SCRIPTS / "search_user_data.py").returncode == 0
    assert lab.job(second.serial).outputs == {"found": 1}
    assert [len(jobs) for jobs in spawned()] == [3, 3]
