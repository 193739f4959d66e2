"""Computing with dask on what a job has."""

import os
from collections.abc import Mapping
from typing import Any

from xfworker.api.facade.job_context import JobContext, log_line
from xfworker.domain.errors import UsageError
from xfworker.services.script.session import Session

_JOBQUEUES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
    "htcondor": "HTCondorCluster",
}

_NOT_FOR_BATCH_JOBS = ("XF_", "XFWORKER_", "_XF_")

_MOST = 256
"""Processes, and threads of each; more is a mistake, which would take all memory before anybody noticed."""


class JobDask(JobContext):
    """Clusters of dask that live as long as the job."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._dask: Any = None

    def dask_client(
        self,
        *,
        workers: int | None = None,
        threads_per_worker: int | None = None,
        jobqueue: Mapping[str, Any] | None = None,
    ) -> Any:
        """
        Start a cluster of dask on the cores and the memory that the job has, and connect to it.

        It consists of processes of this job: an abort and the job's memory limit cover them, what does not fit into
        their memory goes to the working directory, and they listen on loopback, for this job alone. The client is
        dask's default one from then on, so ``array.compute()`` and ``image.write_blocks()`` use it. It ends with
        the ``with`` block, with ``close()``, or with the job.

        How many cores and how much memory that is, is the least of what the environment declares
        (``OMP_NUM_THREADS``, ``SLURM_CPUS_PER_TASK`` and their like; the package's memory limit), the process's control
        group and affinity, and the computer.

        Args:
            workers: How many processes; None for what suits the cores.
            threads_per_worker: How many tasks each of them does at a time; numpy and scipy mostly let them run at once.
            jobqueue: Batch jobs instead of processes, by the package dask-jobqueue: ``{"system": "slurm", "jobs": 4,
                "cores": 8, "memory": "32GB", ...}``, with ``system`` one of slurm, pbs, lsf, sge, oar, moab and
                htcondor, and the arguments that dask-jobqueue documents for it. The working directory, or the
                ``shared_temp_directory`` that is given, must be reachable from the cluster's computers.

        Returns:
            A ``distributed.Client``. While it is open, a call without arguments gives the same one.

        Raises:
            ConfigurationError: dask is not installed.
            BatchSystemError: The batch system refused the batch jobs; the message has what it said.
            UsageError: The job has ended, an argument makes no sense, or another cluster of the job is open.
        """
        arguments = (workers, threads_per_worker, jobqueue)
        with self._lock:
            if self._ended:
                raise UsageError("dask_client: the job has ended, and its clusters with it")
            if self._dask is not None and self._dask.status == "running":
                if arguments == (None, None, None):
                    return self._dask
                raise UsageError("dask_client: the job has a cluster already; close() it to start another")
            self._dask = self._started(*arguments)
            return self._dask

    def _started(self, workers: int | None, threads: int | None, jobqueue: Mapping[str, Any] | None) -> Any:
        from xfworker.adapters.dask.extra import dask_library

        for name, count in (("workers", workers), ("threads_per_worker", threads)):
            if count is not None and (type(count) is not int or not 1 <= count <= _MOST):
                raise UsageError(f"dask_client: {name} is an integer from 1 to {_MOST}, not {count!r:.80}")
        if jobqueue is not None and not isinstance(jobqueue, Mapping):
            raise UsageError(f"dask_client: jobqueue is a dict, not {type(jobqueue).__name__}")
        for needed in ("dask.array", "distributed", "cryptography"):
            dask_library(needed, "worker.dask_client()")
        from xfworker.adapters.dask.job_client import jobqueue_client, local_client

        folder = self.working_dir.path
        if jobqueue is None:
            from xfworker.adapters.process.machine import own_allocation

            allocation = own_allocation(os.environ)
            return local_client(allocation, folder, workers=workers, threads_per_worker=threads)
        if workers is not None or threads is not None:
            raise UsageError("dask_client: with a jobqueue, its own cores and processes say how many workers there are")
        options = dict(jobqueue)
        system = options.pop("system", None)
        if not isinstance(system, str) or system not in _JOBQUEUES:
            raise UsageError(
                f"dask_client: jobqueue names its system, one of {', '.join(_JOBQUEUES)}; got {system!r:.80}"
            )
        library = dask_library("dask_jobqueue", "dask_client(jobqueue=...)")
        # The job's tokens are not for the batch system; and by the script's id those of them that run on this computer
        # would be taken for its own processes.
        kept_back = [name for name in os.environ if name.startswith(_NOT_FOR_BATCH_JOBS)]
        return jobqueue_client(getattr(library, _JOBQUEUES[system]), options, folder, kept_back=kept_back)

    def _close_dask(self) -> None:
        """End the job's cluster; whatever goes wrong then, the job itself has its result."""
        client, self._dask = self._dask, None
        if client is not None and client.status != "closed":
            try:
                client.close()
            except Exception as error:  # noqa: BLE001  dask raises what its connections raise
                log_line(f"the job's cluster of dask could not be closed in order, it ends with the script: {error}")
