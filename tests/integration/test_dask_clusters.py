"""Computing with dask inside of scripts: on the job's own processes, and on a scheduler and workers of their own."""

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from xfworker.adapters.dask.job_client import shape_of
from xfworker.adapters.process.machine import own_allocation
from xfworker.api.facade import omni
from xfworker.domain.allocation import Allocation
from xfworker.domain.errors import ConfigurationError, ImageError, UsageError
from xfworker.domain.job_arguments import JOB_MEMORY

VOLUME_MIB = 384
MOST_MIB = 288

SCRIPT = """
import os
import numpy as np
import xfworkerutil
import beside

worker = xfworkerutil.XFWorkerJob()
import omni

folder = worker.working_dir.path
image = omni.create_image(folder / "scan.omni", size=(8, 9, 10), pixel_type="int16")
image.pixels[:] = np.arange(10)[:, None, None]
image.save()

def place_of(dask_worker):
    return dask_worker.local_directory

def where(block):
    return np.full_like(block, os.getpid() % 32768)

session = getattr(os, "getsid", lambda pid: None)
client = worker.dask_client(workers=2)
array = image.to_dask(chunks=(2, -1, -1))
doubled = image.write_blocks(folder / "doubled.omni", array.map_blocks(beside.doubled))
places = image.write_blocks(folder / "places.omni", array.map_blocks(where, dtype=np.int16))
facts = {
    "the same client": worker.dask_client() is client,
    "for this job alone": client.scheduler.address.startswith("tls://127.0.0.1:"),
    "in the working directory": all(place.startswith(str(folder)) for place in client.run(place_of).values()),
    "of one session": set(client.run(session, 0).values()) == {session(0)},
    "modules beside the script": client.submit(beside.doubled, 4).result() == 8,
    "the right pixels": bool((doubled.pixels == 2 * image.pixels).all()),
    "in other processes": not bool((places.pixels == os.getpid() % 32768).any()),
    "memory": sum(one["memory_limit"] for one in client.scheduler_info()["workers"].values()) / 2**20,
}
worker.finish({"facts": str(facts)})
print("the cluster is", client.status)
"""
METADATA = {
    "package_format": "XFP-TT1.0",
    "name": "Lab.Dask",
    "version": "1.0.0.0",
    "display_name": "Dask",
    "summary": "Says where it computes.",
    "limits": {"memory_mib": 2000},
}
INTERFACE = {"inputs": [], "outputs": [{"key": "facts", "type": "String"}]}
EXPECTED = {
    "the same client": True,
    "for this job alone": True,
    "in the working directory": True,
    "of one session": True,
    "modules beside the script": True,
    "the right pixels": True,
    "in other processes": True,
}


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "main.py").write_text(SCRIPT)
    (folder / "beside.py").write_text("def doubled(value):\n    return 2 * value\n")
    (folder / "metadata.json").write_text(json.dumps(METADATA))
    (folder / "interface.json").write_text(json.dumps(INTERFACE))
    return folder


def facts_of(text):
    facts = ast.literal_eval(text)
    memory = facts.pop("memory")
    return facts, memory


def test_a_script_computes_on_processes_of_its_job(package, tmp_path):
    command = [sys.executable, "-m", "xfworker", "run", str(package), "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    facts, memory = facts_of(json.loads(done.stdout)["outputs"]["facts"])
    assert facts == EXPECTED
    assert memory == 2000 * 7 / 8
    assert "the cluster is closed" in done.stderr


def test_the_same_script_runs_in_a_unit_test(package, run_task):
    facts, _ = facts_of(run_task(package).outputs["facts"])
    assert facts == EXPECTED


@pytest.mark.skipif(sys.platform == "win32", reason="there, the job object of the script ends them")
def test_a_script_that_is_killed_leaves_no_process(tmp_path):
    program = """
import os, signal, sys
from pathlib import Path
from xfworker.adapters.dask.job_client import local_client
from xfworker.domain.allocation import Allocation
client = local_client(Allocation(2, None), Path(sys.argv[1]), workers=2, threads_per_worker=None)
print(*client.run(os.getpid).values(), flush=True)
def busy(number):
    while True: pass
futures = client.map(busy, range(4))
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, check=False)
    assert ended.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in ended.stdout.split()]
    assert len(pids) == 2
    wait_until_gone(pids)


@pytest.mark.skipif(sys.platform == "win32", reason="no process is suspended there")
def test_a_closed_client_leaves_no_process_to_a_script_that_goes_on_and_shows_nothing_before(tmp_path):
    program = """
import os, signal, sys, urllib.error, urllib.request
from pathlib import Path
from xfworker.adapters.dask.job_client import local_client
from xfworker.domain.allocation import Allocation
client = local_client(Allocation(2, None), Path(sys.argv[1]), workers=2, threads_per_worker=None)
pids = [*client.run(os.getpid).values()]
port = client.scheduler_info()["services"]["dashboard"]
for path in ("health", "metrics", "info/main/workers.html", "json/identity.json"):
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}")
    except urllib.error.HTTPError as error:
        print(error.code, flush=True)
os.kill(pids[0], signal.SIGSTOP)
client.close()
print(*pids, flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as script:
        assert [script.stdout.readline() for _ in range(4)] == ["404\n"] * 4
        pids = [int(pid) for pid in script.stdout.readline().split()]
        assert len(pids) == 2
        wait_until_gone(pids)
        script.stdin.close()


def wait_until_gone(pids):
    deadline = time.monotonic() + 30
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, pids
        time.sleep(0.05)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
        except OSError:
            return False
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="batch systems run on POSIX systems")
def test_batch_jobs_take_the_place_of_processes_and_end_with_the_client(tmp_path):
    """By dask-jobqueue's own local system, which starts a batch job's script as a process."""
    program = """
import os, sys
from pathlib import Path
from dask_jobqueue.local import LocalCluster
from xfworker.adapters.dask.job_client import jobqueue_client
folder = Path(sys.argv[1])
with jobqueue_client(LocalCluster, {"jobs": 1, "cores": 1, "memory": "1GB", "interface": "lo"}, folder) as client:
    assert client.scheduler.address.startswith("tls://")
    keys = [path for path in folder.rglob("*key*") if path.is_file()]
    assert keys and all(path.stat().st_mode & 0o077 == 0 for path in keys), keys
    print(os.getpid(), client.submit(os.getpid).result())
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    own, pid = map(int, done.stdout.split())
    assert pid != own
    wait_until_gone([pid])


@pytest.mark.skipif(sys.platform == "win32", reason="batch systems run on POSIX systems")
def test_what_a_batch_system_says_that_refuses_is_the_error_and_it_sees_no_token(tmp_path):
    command = tmp_path / "sbatch"
    command.write_text('#!/bin/sh\necho "no partition long for ${HOME:-nobody}${XF_TOKEN:-}" >&2\nexit 1\n')
    command.chmod(0o755)
    program = """
import sys
from pathlib import Path
from dask_jobqueue import SLURMCluster
from xfworker.adapters.dask.job_client import jobqueue_client
from xfworker.domain.errors import BatchSystemError
options = {"jobs": 2, "cores": 1, "memory": "1GB", "interface": "lo"}
try:
    jobqueue_client(SLURMCluster, options, Path(sys.argv[1]), kept_back=["XF_TOKEN"])
except BatchSystemError as error:
    print(error)
"""
    variables = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin", "XF_TOKEN": "t", "HOME": "me"}
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], env=variables, capture_output=True, text=True, check=False
    )
    expected = "could not submit the batch jobs of dask_client(jobqueue=...): no partition long for me\n"
    assert done.stdout == expected, done.stderr


def test_a_cluster_is_refused_where_it_makes_no_sense(script_job):
    worker = script_job()
    with pytest.raises(UsageError, match="one of slurm, pbs, lsf"):
        worker.dask_client(jobqueue={"system": "cron", "cores": 1})
    with pytest.raises(UsageError, match="its own cores and processes"):
        worker.dask_client(workers=2, jobqueue={"system": "slurm"})
    client = worker.dask_client(workers=1)
    with pytest.raises(UsageError, match="has a cluster already"):
        worker.dask_client(workers=2)
    client.close()
    worker.finish({})
    with pytest.raises(UsageError, match="has ended"):
        worker.dask_client()


@pytest.mark.parametrize(
    ("missing", "install"), [("distributed", "'xfworker[dask]'"), ("dask_jobqueue", "dask-jobqueue")]
)
def test_what_is_not_installed_is_said_with_what_to_install(script_job, monkeypatch, missing, install):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError, match=f"pip install {re.escape(install)}"):
        script_job().dask_client(jobqueue={"system": "slurm", "cores": 1, "memory": "1GB"})


@pytest.fixture
def script_job(xf_platform):
    """Give the job of a script in a test."""
    return lambda: xf_platform.make_job().worker


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and two workers as people start them: processes of their own."""
    folder = tmp_path_factory.mktemp("cluster")
    contact = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [
        *dask,
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--dashboard-address",
        ":0",
    ]
    worker = [*dask, "worker", "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard", "--memory-limit", "1GiB"]
    with (folder / "log").open("wb") as log:
        processes = [
            subprocess.Popen([*words, "--scheduler-file", str(contact)], cwd=folder, stdout=log, stderr=log)
            for words in (scheduler, [*worker, "--name", "a"], [*worker, "--name", "b"])
        ]
    yield contact
    for process in processes:
        process.kill()
        process.wait()


def test_a_separate_scheduler_and_its_workers_read_and_write(cluster, tmp_path):
    from distributed import Client

    image = omni.create_image(tmp_path / "scan.omni", size=(70, 65, 66), pixel_type="uint8")
    image.pixels[:] = np.random.default_rng(1).integers(0, 100, (66, 65, 70), np.uint8)
    image.save()

    def lose(block):
        for path in tmp_path.glob(".xfpart-*"):
            path.unlink()
        return block

    with Client(scheduler_file=str(cluster)) as client:
        client.wait_for_workers(2, timeout=60)
        brighter = image.to_dask(chunks=(16, 40, 70)).map_overlap(lambda block: block + 1, depth=1, boundary="reflect")
        for name in ("new.omni", "new.ome.zarr"):
            new = image.write_blocks(tmp_path / name, brighter)
            assert np.array_equal(np.asarray(new.pixels), image.pixels + 1)
        with pytest.raises(ImageError, match="the same folder under the same path"):
            image.write_blocks(tmp_path / "lost.omni", image.to_dask().map_blocks(lose, dtype=np.uint8))
        assert not (tmp_path / "lost.omni").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
def test_a_volume_larger_than_the_memory_is_filtered_and_written(tmp_path):
    image = omni.create_image(tmp_path / "scan.omni", size=(1024, 1024, VOLUME_MIB), pixel_type="uint8")
    with (tmp_path / "scan.raw").open("wb") as file:
        file.truncate(VOLUME_MIB * 2**20)
    image.save()
    program = """
import sys
from pathlib import Path
import dask
import numpy as np
from xfworker.api.facade import omni
image = omni.open_image(Path(sys.argv[1]))
array = image.to_dask(chunks=(8, -1, -1))
def nearest(block):
    return np.maximum(block[:-2], block[2:])
near = array.map_overlap(nearest, depth={0: 1}, trim=False, boundary="nearest", dtype="uint8", chunks=array.chunks)
with dask.config.set(num_workers=2):
    image.write_blocks(Path(sys.argv[2]), near)
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""
    words = [sys.executable, "-c", program, tmp_path / "scan.omni", tmp_path / "near.omni"]
    peak = subprocess.run(words, capture_output=True, text=True, check=False)
    assert peak.returncode == 0, peak.stderr
    assert omni.open_image(tmp_path / "near.omni").info.byte_count == VOLUME_MIB * 2**20
    assert int(peak.stdout) < MOST_MIB * 1024


def test_cores_and_memory_are_the_least_of_what_is_declared_and_what_there_is():
    def declared(cores, memory, **variables):
        return Allocation.declared(variables, cores=cores, memory_bytes=memory)

    assert declared([16, None, 2.5], [64, None]) == Allocation(2, 64)
    assert declared([16], [None], OMP_NUM_THREADS="4,2", SLURM_CPUS_PER_TASK="8") == Allocation(4, None)
    assert declared([2], [2**40], NCPUS="8", SLURM_MEM_PER_CPU="100") == Allocation(2, 200 * 2**20)
    assert declared([8], [2**40], SLURM_MEM_PER_NODE="3", **{JOB_MEMORY: "1000"}) == Allocation(8, 1000)
    assert declared([0.5], [10], OMP_NUM_THREADS="many", **{JOB_MEMORY: ""}) == Allocation(1, 10)


def test_the_computer_says_what_it_has():
    own = own_allocation({})
    assert 1 <= own.cores <= os.cpu_count()
    assert own.memory_bytes > 2**28


def test_processes_and_threads_use_the_cores_there_are():
    assert shape_of(4, None, None) == (4, 1)
    assert shape_of(8, 2, None) == (2, 4)
    assert shape_of(8, None, 8) == (1, 8)
    assert shape_of(1, None, 4) == (1, 4)
