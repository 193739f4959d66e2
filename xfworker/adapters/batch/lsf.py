"""LSF, by ``bsub``, ``bkill`` and ``bjobs``."""

import re
from collections.abc import Mapping

from xfworker.adapters.batch.cluster_commands import ClusterCommands
from xfworker.adapters.batch.commands import integer, run_command
from xfworker.ports.batch_system import BatchJob

_TEMPLATE = """\
#!/bin/sh
#BSUB -J {{name}}
#BSUB -o {{logs}}/lsf-%J.log
#BSUB -n {{cores}}
#BSUB -R span[hosts=1]
#BSUB -M {{memory_mib?}}MB
#BSUB -R rusage[mem={{memory_mib?}}MB]
#BSUB -gpu num={{gpus?}}
#BSUB -W {{minutes}}
#BSUB -q {{queue?}}
#BSUB -P {{account?}}
#BSUB -rn
export XFWORKER_SERVER_TOKEN_FILE={{token_file?}}
export XFWORKER_CONFIG={{config?}}
export XFTEMP="${TMPDIR:-/tmp}"
exec {{command}}
"""


class Lsf(ClusterCommands):
    """Implements :class:`~xfworker.ports.batch_system.BatchSystem`."""

    name = "lsf"
    title = "LSF"
    template = _TEMPLATE
    submits = ("bsub",)
    # Around it it says what the site has it say.
    submitted = re.compile(r".*?Job <(\d+)> is submitted.*", re.DOTALL)
    cancels = ("bkill",)

    def listed(self) -> dict[str, str]:
        answer = run_command(["bjobs", "-noheader", "-o", "jobid stat"], "list batch jobs of LSF")
        pairs = [line.split() for line in answer.splitlines()]
        return {pair[0]: pair[1] for pair in pairs if len(pair) > 1 and pair[0].isdigit()}

    def own_job(self, environment: Mapping[str, str]) -> BatchJob | None:
        job = environment.get("LSB_JOBID")
        if job is None:
            return None
        return BatchJob(job=job, cores=integer(environment.get("LSB_DJOB_NUMPROC")))
