"""
The same for Procrastinate, by its own interpreter: ``procrastinate_worker.py fill DATABASE JOBS``, then ``work DATABASE
CONCURRENCY``.
"""

import asyncio
import json
import sys
import time

from procrastinate import App, PsycopgConnector


async def fill(app: App, jobs: int) -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await app.tasks["job"].batch_defer_async(*({"number": number} for number in range(jobs)))


async def work(app: App, concurrency: int, ended_at: list[float]) -> None:
    async with app.open_async():
        print("ready", flush=True)
        sys.stdin.readline()
        started_at, cpu = time.monotonic(), time.process_time()
        await app.run_worker_async(concurrency=concurrency, wait=False, install_signal_handlers=False)
    document = {"first": started_at, "last": max(ended_at, default=started_at), "jobs": len(ended_at)}
    print(json.dumps(document | {"cpu": time.process_time() - cpu}))


def main() -> int:
    what, database, number = sys.argv[1:]
    app = App(
        connector=PsycopgConnector(conninfo=database, min_size=1, max_size=int(number) + 2 if what == "work" else 4)
    )
    ended_at: list[float] = []

    @app.task(name="job")  # type: ignore[untyped-decorator]  # its package is installed for this program alone
    async def job(number: int) -> None:  # noqa: ARG001  what it is given
        ended_at.append(time.monotonic())

    asyncio.run(fill(app, int(number)) if what == "fill" else work(app, int(number), ended_at))
    return 0


if __name__ == "__main__":
    sys.exit(main())
