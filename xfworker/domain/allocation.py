"""How much of a computer a job may use."""

from collections.abc import Iterable, Mapping
from typing import Final

from attrs import frozen

from xfworker.domain.job_arguments import JOB_MEMORY

_CORES: Final = ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK", "PBS_NUM_PPN", "NCPUS")
"""Variables in which a worker or a batch system says how many cores a job has, the most exact first."""

_MEBIBYTE: Final = 2**20


@frozen
class Allocation:
    """
    What a job has of its computer.

    Attributes:
        cores: How many cores, at least one.
        memory_bytes: How much memory; None where nobody says.
    """

    cores: int
    memory_bytes: int | None

    @classmethod
    def declared(
        cls, variables: Mapping[str, str], *, cores: Iterable[float | None], memory_bytes: Iterable[int | None]
    ) -> "Allocation":
        """
        Give the least of what is declared and what there is.

        Args:
            variables: The environment: what the worker and a batch system declare.
            cores: How many cores the system lets the process have, by each of its ways to say so; None where it does
                not.
            memory_bytes: How much memory, likewise.
        """
        stated = next((count for count in (_number(variables.get(name)) for name in _CORES) if count), None)
        allowed = [stated, *(None if count is None else max(1, int(count)) for count in cores)]
        least = min((count for count in allowed if count), default=1)
        slurm = _number(variables.get("SLURM_MEM_PER_NODE"))
        per_core = _number(variables.get("SLURM_MEM_PER_CPU"))
        memory = [
            _number(variables.get(JOB_MEMORY)),
            None if slurm is None else slurm * _MEBIBYTE,
            None if per_core is None else per_core * _MEBIBYTE * least,
            *memory_bytes,
        ]
        return cls(least, min((count for count in memory if count), default=None))


def _number(text: str | None) -> int | None:
    """Give the positive integer that a variable begins with (OpenMP knows lists of them), or None."""
    first = (text or "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None
