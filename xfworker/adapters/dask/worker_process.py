"""
A worker of dask as a child process of the script.

``LocalCluster`` starts its workers by ``multiprocessing``, which runs the script's file again in each of them; scripts
of jobs are not written for that. These run a program of this package instead, on every system.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from typing import Any, Final

from distributed.deploy.spec import ProcessInterface
from distributed.security import Security

from xfworker.adapters.dask import worker_program

_ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
"""Tasks take the cores; libraries that start a thread for each of them as well would only be in their way."""

_END_SECONDS: Final = 5.0


class WorkerProcess(ProcessInterface):  # type: ignore[misc]  # distributed has no types
    """
    A process that takes tasks from a scheduler.

    Args:
        scheduler: The scheduler's address.
        name: What it is called there.
        security: How connections are protected.
        options: Of ``distributed.Worker``; what can be written as JSON.
    """

    def __init__(self, scheduler: str, *, name: Any, security: Security, options: dict[str, Any]) -> None:
        self._call = {
            "scheduler": scheduler,
            "security": {
                "require_encryption": security.require_encryption,
                "tls_ca_file": security.tls_ca_file,
                "tls_worker_cert": security.tls_worker_cert,
                "tls_worker_key": security.tls_worker_key,
            },
            "options": {"name": name, **options},
        }
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__()

    async def start(self) -> None:
        """
        Start the process, and wait until it works.

        Raises:
            RuntimeError: It ended instead; what it said is on stderr.
        """
        process = self._process = subprocess.Popen(  # noqa: S603, ASYNC220  our own program; it starts within a moment
            [sys.executable, "-m", worker_program.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # The script's modules are where it finds them itself.
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            bufsize=0,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(self._call).encode() + b"\n")
        said = await asyncio.to_thread(process.stdout.readline)
        process.stdout.close()
        if said != worker_program.READY:
            await self.close()
            raise RuntimeError("a worker process of dask ended while it was starting; its log says why")
        await super().start()

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.to_thread(process.wait, _END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)
        await super().close()
