"""Slurm, by ``sbatch``, ``scancel`` and ``squeue``."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from xfworker.adapters.batch.cluster_commands import ClusterCommands
from xfworker.adapters.batch.commands import integer, run_command
from xfworker.ports.batch_system import BatchJob

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


class Slurm(ClusterCommands):
    """Implements :class:`~xfworker.ports.batch_system.BatchSystem`."""

    name = "slurm"
    title = "Slurm"
    template = _TEMPLATE
    submits = ("sbatch", "--parsable")
    # The number, and behind a semicolon the cluster where there are several.
    submitted = re.compile(r"(\d+)(;\S+)?")
    cancels = ("scancel",)

    def listed(self) -> dict[str, str]:
        answer = run_command(["squeue", "--me", "--noheader", "--format=%i|%T"], "list batch jobs of Slurm")
        return dict(line.strip().split("|", 1) for line in answer.splitlines() if "|" in line)

    def own_job(self, environment: Mapping[str, str]) -> BatchJob | None:
        job = environment.get("SLURM_JOB_ID")
        if job is None:
            return None
        cores = integer(environment.get("SLURM_CPUS_PER_TASK")) or integer(environment.get("SLURM_CPUS_ON_NODE"))
        memory = integer(environment.get("SLURM_MEM_PER_NODE"))
        per_core = integer(environment.get("SLURM_MEM_PER_CPU"))
        if memory is None and per_core is not None and cores is not None:
            memory = per_core * cores
        start, end = (integer(environment.get(f"SLURM_JOB_{what}_TIME")) for what in ("START", "END"))
        return BatchJob(
            job=job,
            cores=cores,
            memory_mib=memory or None,
            ends_at=None if end is None else datetime.fromtimestamp(end, UTC),
            walltime_seconds=None if start is None or end is None else float(end - start),
        )
