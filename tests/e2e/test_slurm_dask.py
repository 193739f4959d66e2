"""A script under a pilot computes on workers of dask that are batch jobs of a real Slurm."""

import pytest

from tests.cluster.slurm import reason_for_no_slurm
from tests.cluster.slurm_site import slurm_site
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job

pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
pytestmark = pytest.mark.skipif(bool(reason_for_no_slurm()), reason=reason_for_no_slurm() or "it is there")

# Two workers as batch jobs that run, and one that waits for good, since there are four cores.
SCRIPT = """
import os, pathlib, signal, subprocess
import xfworkerutil
worker = xfworkerutil.XFWorkerJob()
folder = pathlib.Path(worker.job["inputs"]["folder"])
options = {"system": "slurm", "jobs": 3, "cores": 1, "memory": "300MB", "interface": "lo", "walltime": "00:30:00"}
options["death_timeout"] = 5
client = worker.dask_client(jobqueue=options)
client.wait_for_workers(2, timeout=60)
variables = client.run(lambda: dict(os.environ))
own = os.environ["SLURM_JOB_ID"]
jobs = {one["SLURM_JOB_ID"] for one in variables.values()}
assert len(jobs) == 2 and own not in jobs, jobs
leaked = [name for one in variables.values() for name in one if name.startswith(("XF_", "XFWORKER_", "_XF_"))]
assert not leaked, leaked
waiting = subprocess.run(["squeue", "--noheader", "--states=PENDING"], stdout=subprocess.PIPE, check=True).stdout
assert len(waiting.splitlines()) == 1, waiting
total = sum(client.gather(client.map(lambda number: number**2, range(10))))
(folder / "computed").write_text(str(total))
if (folder / "is_killed").exists():
    os.kill(os.getpid(), signal.SIGKILL)
worker.finish({"n": total})
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with slurm_site(tmp_path_factory.mktemp("site")) as site:
        yield site


def test_workers_of_dask_are_batch_jobs_that_end_with_the_script(site):
    task = site.task(SCRIPT, name="Test.Dask", resources={"cores": 1})
    scaled = site.cluster("scale", "--slurm", "1", "--cores", "2", "--memory-mib", "900")
    pilot = scaled[0]["batch_job"]

    def ended(name, *, is_killed):
        folder = site.folder / name
        folder.mkdir()
        if is_killed:
            (folder / "is_killed").touch()
        job = site.server.create(Job(task_serial=task, state=JobState.READY, inputs={"folder": str(folder)})).serial
        site.wait("the job's end", lambda: site.server.get(Job, job).state.is_final)
        # One that waits in the queue all the time has to end as well, or is cancelled.
        site.wait(
            "the end of its batch jobs", lambda: site.run("squeue", "--noheader", "--format=%i").split() == [pilot]
        )
        return site.server.get(Job, job), site.xfworker("job", "log", job)

    job, log = ended("ends", is_killed=False)
    assert (job.state, job.outputs) == (JobState.DONE, {"n": 285}), log
    job, log = ended("is killed", is_killed=True)
    assert job.metadata["outcome"]["ending"] == "killed", log
    assert (site.folder / "is killed" / "computed").read_text() == "285"
