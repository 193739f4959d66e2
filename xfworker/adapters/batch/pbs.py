"""PBS (OpenPBS, PBS Professional, Torque), by ``qsub``, ``qdel`` and ``qstat``."""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence

from xfworker.adapters.batch.commands import integer, run_command, unexpected_answer
from xfworker.ports.batch_system import Allocation

_SUBMIT = "submit a pilot to PBS"
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


class Pbs:
    """Implements :class:`~xfworker.ports.batch_system.BatchSystem`."""

    name = "pbs"
    template = _TEMPLATE
    shares_files = True
    program = (sys.executable, "-m", "xfworker")

    def quoted(self, words: Sequence[str]) -> str:
        return shlex.join(words)

    def submit(self, text: str) -> str:
        # Without a file it reads the script from stdin; the id is a number and the server's name.
        answer = run_command(["qsub"], _SUBMIT, text).strip()
        if not re.fullmatch(r"\d+(\[\])?(\.\S+)?", answer):
            raise unexpected_answer(_SUBMIT, "qsub", answer)
        return answer

    def cancel(self, jobs: Sequence[str]) -> None:
        run_command(["qdel", *jobs], f"cancel {', '.join(jobs)} in PBS")

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

    def allocation(self, environment: Mapping[str, str]) -> Allocation | None:
        job = environment.get("PBS_JOBID")
        if job is None:
            return None
        walltime = integer(environment.get("PBS_WALLTIME"))  # Torque says it, in seconds
        return Allocation(
            job=job,
            cores=integer(environment.get("NCPUS")) or integer(environment.get("PBS_NUM_PPN")),
            walltime_seconds=None if walltime is None else float(walltime),
        )
