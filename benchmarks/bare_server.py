"""
What the server of this package is held against: Litestar on Granian, one SQLite select in a thread.

A job is answered as JSON; a list of jobs as what its columns hold, one behind the other.

Started by :mod:`benchmarks.server_costs`: ``python -m benchmarks.bare_server DATABASE``; prints its port.
"""

import json
import sqlite3
import sys
import threading

from anyio import to_thread
from litestar import Litestar, Response, get
from litestar.params import FromPath

from xfworker.adapters.web.serving import ServeOptions, serve

_local = threading.local()


def connection() -> sqlite3.Connection:
    if not hasattr(_local, "connection"):
        _local.connection = sqlite3.connect(sys.argv[1])
    return _local.connection  # type: ignore[no-any-return]  # it is one


def select(serial: int) -> dict[str, object]:
    found = connection().execute("SELECT * FROM jobs WHERE serial = ?", (serial,))
    row = dict(zip((name for name, *_ in found.description), found.fetchone(), strict=True))
    return {**row, **{name: json.loads(row[name]) for name in ("inputs", "outputs", "metadata")}}


@get("/jobs/{serial:int}")
async def job(serial: FromPath[int]) -> Response[bytes]:
    row = await to_thread.run_sync(select, serial)
    return Response(content=json.dumps(row).encode(), media_type="application/json")


def select_page(task: int) -> bytes:
    of_task = "SELECT * FROM jobs WHERE task_serial = ? ORDER BY sort_order, serial LIMIT 1000"
    rows = connection().execute(of_task, (task,)).fetchall()
    return ",".join([",".join(map(str, row)) for row in rows]).encode()


@get("/tasks/{task:int}/jobs")
async def jobs(task: FromPath[int]) -> Response[bytes]:
    return Response(content=await to_thread.run_sync(select_page, task), media_type="application/json")


if __name__ == "__main__":
    serve(
        Litestar(route_handlers=[job, jobs], openapi_config=None),
        ServeOptions(host="127.0.0.1", port=0, end_with_input=True),
        announce=lambda port: print(port, flush=True),
    )
