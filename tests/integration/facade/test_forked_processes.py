"""Scripts that fork, as image analysis likes to: the job is made once and used in every process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.suites.facade_project import ScriptProject, http_place
from tests.integration.facade.faulty_wire import FaultyWire
from xfworker.api.composition.module_folders import SHIM_FOLDER as SHIMS

ROOT = Path(__file__).parents[3]
PROCESSES = 4

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")

SCRIPT = """
import multiprocessing, sys
import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
FILE = {"type": "ForeignFile", "source": "userdata", "virtualpath": "shared/scan.nii.gz", "filename": "scan.nii.gz"}
worker.download_input_file(FILE)
serials = [int(text) for text in sys.argv[1:]]
fork = multiprocessing.get_context("fork")
together = fork.Barrier(len(serials))


def work(serial):
    with worker.server_connection() as connection:
        answers = {xfworkerutil.get_xf_job(connection, serial)["serial"] for _ in range(25)}
    assert answers == {serial}, answers
    path = worker.download_input_file(FILE)
    assert path.read_bytes() == b"voxels" and path.name.startswith("scan") and path.name.endswith(".nii.gz"), path
    related = worker.create_related_path(path, "_seg.omni")
    assert related.name.endswith("_seg.omni") and worker.working_dir.is_under(related), related
    return [str(path), str(related), str(worker.create_temp_path("minmax.json"))]


def work_together(serial):
    together.wait()
    return work(serial)


with fork.Pool(len(serials)) as pool:
    given = pool.map(work_together, serials, chunksize=1)
given.append(work(serials[0]))
paths = [path for found in given for path in found]
assert len(set(paths)) == len(paths) == 3 * (len(serials) + 1), paths
worker.finish({"volume": 1})
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with http_place(tmp_path_factory.mktemp("forked"), database="memory:") as made:
        yield made


@pytest.fixture
def script_project(place, tmp_path):
    return ScriptProject.make(place, tmp_path)


def test_forked_processes_share_the_job_but_neither_connections_nor_names(script_project):
    script_project.put("userdata/shared/scan.nii.gz", b"voxels")
    others = [script_project.new_job().serial for _ in range(PROCESSES)]
    job = script_project.new_job()
    arguments = script_project.arguments(job)
    with FaultyWire(int(arguments.server_port)) as wire:
        environment = {**os.environ, **arguments.to_environment(), "XF_SERVER_PORT": str(wire.port)}
        environment |= {"XFTEMP": str(script_project.folder), "PYTHONPATH": os.pathsep.join([str(SHIMS), str(ROOT)])}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *map(str, others)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=script_project.folder,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert script_project.job(job.serial).outputs == {"volume": 1}
    # One to the records and one to the files for the script itself and for each process that it forked.
    assert wire.connections == 2 * (1 + PROCESSES)


MEMORY = """
import multiprocessing, os
import xfworkerutil

worker = xfworkerutil.XFWorkerJob()


def work(number):
    path = worker.create_temp_path("part.txt")
    path.write_text(str(number))
    said = []
    for attempt in (lambda: worker.upload_output_file(path), lambda: worker.save_job(metadata={"note": "x"})):
        try:
            attempt()
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    return said


with multiprocessing.get_context("fork").Pool(1) as pool:
    print(*pool.map(work, [1])[0], sep="\\n")
"""


def test_what_is_stored_or_saved_in_the_memory_of_a_forked_process_is_refused_and_not_lost(tmp_path):
    (tmp_path / "task.py").write_text(MEMORY)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XF")}
    environment["XFWORKER_SERVER_KIND"] = "memory"
    done = subprocess.run(
        [sys.executable, "task.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "this process was forked from the one that keeps the files in its memory" in done.stdout
    assert "this process was forked from the one that keeps the records in its memory" in done.stdout


LOCKED = """
import os, sys, threading
import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
held, go = threading.Event(), threading.Event()


def hold():
    with worker._lock:
        held.set()
        go.wait(60)


threading.Thread(target=hold).start()
held.wait(60)
threading.Timer(0.2, go.set).start()
child = os.fork()
if child == 0:
    worker.job["name"] = "of the child"
    worker.set_estimated_duration(5, save=False)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_fork_while_another_thread_saves_leaves_the_child_no_held_lock(tmp_path):
    (tmp_path / "task.py").write_text(LOCKED)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XF")}
    environment["XFWORKER_SERVER_KIND"] = "memory"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "task.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip() == "0"
