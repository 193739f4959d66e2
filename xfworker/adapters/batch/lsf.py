"""LSF, by ``bsub``, ``bkill`` and ``bjobs``."""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence

from xfworker.adapters.batch.commands import integer, run_command, unexpected_answer
from xfworker.ports.batch_system import Allocation

_SUBMIT = "submit a pilot to LSF"
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


class Lsf:
    """Implements :class:`~xfworker.ports.batch_system.BatchSystem`."""

    name = "lsf"
    template = _TEMPLATE
    shares_files = True
    program = (sys.executable, "-m", "xfworker")

    def quoted(self, words: Sequence[str]) -> str:
        return shlex.join(words)

    def submit(self, text: str) -> str:
        answer = run_command(["bsub"], _SUBMIT, text)
        found = re.search(r"Job <(\d+)> is submitted", answer)
        if found is None:
            raise unexpected_answer(_SUBMIT, "bsub", answer)
        return found[1]

    def cancel(self, jobs: Sequence[str]) -> None:
        run_command(["bkill", *jobs], f"cancel {', '.join(jobs)} in LSF")

    def listed(self) -> dict[str, str]:
        answer = run_command(["bjobs", "-noheader", "-o", "jobid stat"], "list batch jobs of LSF")
        pairs = [line.split() for line in answer.splitlines()]
        return {pair[0]: pair[1] for pair in pairs if len(pair) > 1 and pair[0].isdigit()}

    def allocation(self, environment: Mapping[str, str]) -> Allocation | None:
        job = environment.get("LSB_JOBID")
        if job is None:
            return None
        return Allocation(job=job, cores=integer(environment.get("LSB_DJOB_NUMPROC")))
