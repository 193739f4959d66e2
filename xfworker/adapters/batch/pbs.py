"""PBS (OpenPBS, PBS Professional, Torque), by ``qsub``, ``qdel`` and ``qstat``."""

import re
from collections.abc import Mapping

from xfworker.adapters.batch.cluster_commands import ClusterCommands
from xfworker.adapters.batch.commands import integer, run_command
from xfworker.ports.batch_system import BatchJob

_TEMPLATE = """\
#!/bin/sh
#PBS -N {{name}}
#PBS -j oe
#PBS -o {{logs}}/
#PBS -l select=1:ncpus={{cores}}:mem={{memory_mib}}mb:ngpus={{gpus}}
#PBS -l walltime={{walltime}}
#PBS -q {{queue?}}
#PBS -A {{account?}}
#PBS -r n
export XFWORKER_SERVER_TOKEN_FILE={{token_file?}}
export XFWORKER_CONFIG={{config?}}
export XFTEMP="${TMPDIR:-/tmp}"
exec {{command}}
"""


class Pbs(ClusterCommands):
    """Implements :class:`~xfworker.ports.batch_system.BatchSystem`."""

    name = "pbs"
    title = "PBS"
    template = _TEMPLATE
    submits = ("qsub",)
    # Without a file it reads the script from stdin; the id is a number and the server's name.
    submitted = re.compile(r"(\d+(?:\[\])?(?:\.\S+)?)")
    cancels = ("qdel",)
    job_id = re.compile(r"[1-9]\d*(\[\d*\])?(\.[A-Za-z0-9][\w.-]*)?")

    def listed(self) -> dict[str, str]:
        answer = run_command(["qstat", "-f"], "list batch jobs of PBS")
        states: dict[str, str] = {}
        job = ""
        for line in answer.splitlines():
            if line.startswith("Job Id:"):
                job = line.partition(":")[2].strip()
            elif line.strip().startswith("job_state ="):
                states[job] = line.partition("=")[2].strip()
        return states

    def own_job(self, environment: Mapping[str, str]) -> BatchJob | None:
        job = environment.get("PBS_JOBID")
        if job is None:
            return None
        walltime = integer(environment.get("PBS_WALLTIME"))  # Torque says it, in seconds
        return BatchJob(
            job=job,
            cores=integer(environment.get("NCPUS")) or integer(environment.get("PBS_NUM_PPN")),
            walltime_seconds=None if walltime is None else float(walltime),
        )
