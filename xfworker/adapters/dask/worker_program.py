"""
A process that computes for a job: ``python -m xfworker.adapters.dask.worker_program``.

It reads one line of JSON from stdin (where the scheduler is, and what this process may use), writes one line to stdout
when it has begun to work, and ends when the scheduler closes it or its stdin ends, however the job's script came to
its end.
"""

import asyncio
import json
import os
import sys
import threading
from typing import Any

READY = b"ready\n"


async def _work(call: dict[str, Any]) -> None:
    import dask
    from distributed import Worker
    from distributed.security import Security

    dask.config.set({"distributed.worker.http.routes": []})
    worker = Worker(call["scheduler"], security=Security(**call["security"]), dashboard=False, **call["options"])
    async with worker:
        # What computations print belongs to the job's log, as what the script itself prints does.
        os.write(1, READY)
        os.dup2(2, 1)
        await worker.finished()


def _end_with_script() -> None:
    while sys.stdin.buffer.read(1):
        pass
    # The script is gone, and its results with it: nothing is worth an orderly end, which waits for running tasks.
    os._exit(0)


def main() -> None:
    """Work until the scheduler or the script ends."""
    call = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_script, name="script", daemon=True).start()
    asyncio.run(_work(call))


if __name__ == "__main__":
    main()
