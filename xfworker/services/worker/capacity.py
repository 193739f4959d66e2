"""What a worker has, which job has which part of it, and how the script of each is kept to its part."""

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence

from attrs import define, evolve, field

from xfworker.domain.resources import Needs, Offer

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
GPUS_VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable that names the GPUs which a process may use."""


def _endless() -> float | None:
    return None


@define(frozen=True)
class _Part:
    needs: Needs
    gpus: tuple[str, ...]


@define(kw_only=True)
class Capacity:
    """
    What a worker has, and what its running jobs have of it. Safe to share between threads.

    Attributes:
        total: What the worker has in all, without its time.
        gpus: How each of its GPUs is called.
        concurrency: How many jobs run at once.
        seconds_left: Gives how long a job may take before the worker's time is over; ``None`` where it does not end.
        walltime_seconds: How long the worker has in all.
    """

    total: Offer
    gpus: Sequence[str] = ()
    concurrency: int = 1
    seconds_left: Callable[[], float | None] = _endless
    walltime_seconds: float | None = None
    _parts: dict[Hashable, _Part] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def free(self) -> Offer:
        """Give what no job has; jobs that declare nothing take nothing of it."""
        with self._lock:
            needs = [part.needs for part in self._parts.values()]
            gpus = len(self._free_gpus())
        seconds = self.seconds_left()
        return evolve(
            self.total,
            cores=max(self.total.cores - sum(one.cores or 0 for one in needs), 0),
            memory_mib=max(self.total.memory_mib - sum(one.memory_mib or 0 for one in needs), 0),
            gpus=gpus,
            seconds=None if seconds is None else max(seconds, 0.0),
            walltime_seconds=self.walltime_seconds,
        )

    def take(self, attempt: Hashable, needs: Needs) -> Mapping[str, str]:
        """
        Give an attempt at a job its part.

        Args:
            attempt: Which attempt; by this it is given back.
            needs: What the job declares.

        Returns:
            The variables by which its script keeps to it. Threads are as many as the cores that it declares, else as
            its share among as many jobs as may run at once. GPUs are named where it says how many it needs.
        """
        with self._lock:
            gpus = tuple(self._free_gpus()[: needs.gpus or 0])
            self._parts[attempt] = _Part(needs, gpus)
        cores = needs.cores or max(self.total.cores // self.concurrency, 1)
        variables = dict.fromkeys(_THREADS, str(cores)) if self.total.cores or needs.cores else {}
        return variables if needs.gpus is None else {**variables, GPUS_VISIBLE: ",".join(gpus)}

    def give_back(self, attempt: Hashable) -> None:
        """Take an attempt's part back, if it has one."""
        with self._lock:
            self._parts.pop(attempt, None)

    def _free_gpus(self) -> list[str]:
        taken = {gpu for part in self._parts.values() for gpu in part.gpus}
        return [gpu for gpu in self.gpus if gpu not in taken]
