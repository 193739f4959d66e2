"""Slurm, by ``sbatch``, ``scancel`` and ``squeue``."""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from xfworker.adapters.batch.commands import integer, run_command, unexpected_answer
from xfworker.ports.batch_system import Allocation

_SUBMIT = "submit a pilot to Slurm"
_TEMPLATE = """\
#!/bin/sh
#SBATCH --job-name={{name}}
#SBATCH --output={{logs}}/slurm-%j.log
#SBATCH --ntasks=1
#SBATCH --cpus-per-task={{cores}}
#SBATCH --mem={{memory_mib?}}M
#SBATCH --gres=gpu:{{gpus?}}
#SBATCH --time={{minutes}}
#SBATCH --partition={{partition?}}
#SBATCH --account={{account?}}
#SBATCH --no-requeue
export XFWORKER_SERVER_TOKEN_FILE={{token_file?}}
export XFWORKER_CONFIG={{config?}}
export XFTEMP="${SLURM_TMPDIR:-${TMPDIR:-/tmp}}"
exec {{command}}
"""


class Slurm:
    """Implements :class:`~xfworker.ports.batch_system.BatchSystem`."""

    name = "slurm"
    template = _TEMPLATE
    shares_files = True
    program = (sys.executable, "-m", "xfworker")

    def quoted(self, words: Sequence[str]) -> str:
        return shlex.join(words)

    def submit(self, text: str) -> str:
        answer = run_command(["sbatch", "--parsable"], _SUBMIT, text)
        # The number, and behind a semicolon the cluster where there are several.
        found = re.fullmatch(r"(\d+)(;\S+)?", answer.strip())
        if found is None:
            raise unexpected_answer(_SUBMIT, "sbatch", answer)
        return found[1]

    def cancel(self, jobs: Sequence[str]) -> None:
        run_command(["scancel", *jobs], f"cancel {', '.join(jobs)} in Slurm")

    def listed(self) -> dict[str, str]:
        answer = run_command(["squeue", "--me", "--noheader", "--format=%i|%T"], "list batch jobs of Slurm")
        return dict(line.strip().split("|", 1) for line in answer.splitlines() if "|" in line)

    def allocation(self, environment: Mapping[str, str]) -> Allocation | None:
        job = environment.get("SLURM_JOB_ID")
        if job is None:
            return None
        cores = integer(environment.get("SLURM_CPUS_PER_TASK")) or integer(environment.get("SLURM_CPUS_ON_NODE"))
        memory = integer(environment.get("SLURM_MEM_PER_NODE"))
        per_core = integer(environment.get("SLURM_MEM_PER_CPU"))
        if memory is None and per_core is not None and cores is not None:
            memory = per_core * cores
        start, end = (integer(environment.get(f"SLURM_JOB_{what}_TIME")) for what in ("START", "END"))
        return Allocation(
            job=job,
            cores=cores,
            memory_mib=memory or None,
            ends_at=None if end is None else datetime.fromtimestamp(end, UTC),
            walltime_seconds=None if start is None or end is None else float(end - start),
        )
