"""Clusters of dask for the computations of one job."""

import logging
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import dask
from distributed import Client, Scheduler, SpecCluster
from distributed.core import Status
from distributed.deploy.utils import nprocesses_nthreads
from distributed.security import Security

from xfworker.adapters.dask.worker_process import WorkerProcess
from xfworker.domain.allocation import Allocation
from xfworker.domain.errors import BatchSystemError

LOOPBACK: Final = "127.0.0.1"

_FOR_WORKERS: Final = 7 / 8
"""The part of a job's memory that its workers share; the rest is the script's own, in which the scheduler runs."""

_NO_PAGES: Final[dict[str, Any]] = {"distributed.scheduler.http.routes": []}
"""Nothing is served beside the protected connections, whatever a person's own settings of dask say."""


class JobClient(Client):  # type: ignore[misc]  # distributed has no types
    """
    A client that ends its cluster when it is closed.

    Args:
        cluster: The cluster, of which nobody else has charge.
        security: How connections are protected.
    """

    def __init__(self, cluster: Any, *, security: Security) -> None:
        self._ended_with_it = cluster
        super().__init__(cluster, security=security, set_as_default=True)

    def close(self, timeout: Any = None) -> Any:
        """Close the connection, then the cluster with its processes and batch jobs."""
        cluster, self._ended_with_it = self._ended_with_it, None
        try:
            return super().close() if timeout is None else super().close(timeout)
        finally:
            if cluster is not None:
                cluster.close()


def local_client(
    allocation: Allocation, folder: Path, *, workers: int | None, threads_per_worker: int | None
) -> JobClient:
    """
    Start a cluster of processes that are children of this one, and connect to it.

    Only this job can connect: it listens on loopback, with a certificate that exists in the memory of these processes
    alone. Whoever could connect could run code as this user, and loopback is shared with all users of a computer.

    Args:
        allocation: What the job has.
        folder: Where workers put what does not fit into their memory.
        workers: How many processes; None for what suits the cores.
        threads_per_worker: How many tasks each does at a time.
    """
    workers, threads = shape_of(allocation.cores, workers, threads_per_worker)
    memory = None if allocation.memory_bytes is None else int(allocation.memory_bytes * _FOR_WORKERS / workers)
    security = Security.temporary()
    with dask.config.set(_NO_PAGES):
        cluster = SpecCluster(
            name="xfworker",
            security=security,
            silence_logs=logging.WARNING,
            scheduler={
                "cls": Scheduler,
                "options": {
                    "host": LOOPBACK,
                    "port": 0,
                    "protocol": "tls://",
                    "security": security,
                    "dashboard": False,
                    "dashboard_address": f"{LOOPBACK}:0",
                },
            },
            workers={
                number: {
                    "cls": WorkerProcess,
                    "options": {
                        "security": security,
                        "options": {
                            "host": LOOPBACK,
                            "nthreads": threads,
                            "memory_limit": memory or 0,
                            "local_directory": str(folder),
                            "silence_logs": logging.WARNING,
                        },
                    },
                }
                for number in range(workers)
            },
        )
    return _connected(cluster, security, workers)


def jobqueue_client(
    make: Any, options: Mapping[str, Any], folder: Path, *, kept_back: Collection[str] = ()
) -> JobClient:
    """
    Start a cluster whose workers are batch jobs of their own, by dask-jobqueue, and connect to it.

    Connections are protected by a certificate that lies in ``folder``, which the computers of the cluster share.

    Args:
        make: A class of dask-jobqueue, such as ``SLURMCluster``.
        options: What it is called with; ``jobs`` says how many batch jobs to start.
        folder: Where the certificate and what workers put on the disk go.
        kept_back: Variables that the batch jobs do not inherit.

    Raises:
        BatchSystemError: The batch system took none of them, or not all; those that it took are cancelled.
    """
    security = Security.temporary()
    options = {"jobs": 1, **options}
    jobs = int(options.pop("jobs"))
    defaults = {
        "local_directory": str(folder),
        "log_directory": str(folder),
        "shared_temp_directory": tempfile.mkdtemp(prefix="dask-", dir=folder),
        "protocol": "tls://",
        "security": security,
        "scheduler_options": {"dashboard": False, "dashboard_address": ":0"},
    }
    with dask.config.set(_NO_PAGES):
        cluster = make(**{**defaults, "job_cls": _job_class(make.job_cls, kept_back), **options})
    cluster.scale(jobs=jobs)
    # Else nobody would hear that the batch system refused, and the script would wait for workers that never come.
    refused = cluster.sync(_refused, cluster)
    if refused:
        cluster.close()
        error = str(refused[0])
        said = error.rpartition("stderr:")[2].strip() or error
        raise BatchSystemError(f"could not submit the batch jobs of dask_client(jobqueue=...): {said}")
    return JobClient(cluster, security=cluster.security)


def _job_class(base: type[Any], kept_back: Collection[str]) -> type[Any]:
    """
    Give a class of batch jobs of dask-jobqueue that keeps why one was refused, which dask only logs.

    Args:
        base: The class for the batch system.
        kept_back: Variables that the command to submit does not see; most systems pass on all that it sees.
    """
    unset = " ".join(f"-u {name}" for name in sorted(kept_back))

    class SubmittedJob(base):  # type: ignore[misc]  # dask-jobqueue has no types
        submit_command = f"env {unset} {base.submit_command}" if unset else base.submit_command
        refused: Exception | None = None

        async def start(self) -> None:
            try:
                await super().start()
            except Exception as error:
                # As failed it can be closed, and is not submitted again by whoever waits for it.
                self.refused, self.status = error, Status.failed
                raise

    return SubmittedJob


async def _refused(cluster: Any) -> list[Exception]:
    await cluster
    return [job.refused for job in cluster.workers.values() if job.refused is not None]


def shape_of(cores: int, workers: int | None, threads_per_worker: int | None) -> tuple[int, int]:
    """Give how many processes with how many threads each use so many cores: as dask itself does unless stated."""
    if workers is None and threads_per_worker is None:
        count, threads = nprocesses_nthreads(cores)
        return int(count), int(threads)
    if workers is None:
        assert threads_per_worker is not None
        return max(1, cores // threads_per_worker), threads_per_worker
    return workers, threads_per_worker or max(1, cores // workers)


def _connected(cluster: Any, security: Security, workers: int) -> JobClient:
    try:
        client = JobClient(cluster, security=security)
    except BaseException:
        cluster.close()
        raise
    try:
        client.wait_for_workers(workers, timeout=60)
    except BaseException:
        client.close()
        raise
    return client
