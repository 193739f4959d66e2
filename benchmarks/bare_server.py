"""
What the server of this package is held against: Litestar on Granian, one SQLite select in a thread, its row as JSON.

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


def select(serial: int) -> dict[str, object]:
    if not hasattr(_local, "connection"):
        _local.connection = sqlite3.connect(sys.argv[1])
        _local.connection.row_factory = sqlite3.Row
    row = dict(_local.connection.execute("SELECT * FROM jobs WHERE serial = ?", (serial,)).fetchone())
    return {**row, **{name: json.loads(row[name]) for name in ("inputs", "outputs", "metadata")}}


@get("/jobs/{serial:int}")
async def job(serial: FromPath[int]) -> Response[bytes]:
    row = await to_thread.run_sync(select, serial)
    return Response(content=json.dumps(row).encode(), media_type="application/json")


if __name__ == "__main__":
    serve(
        Litestar(route_handlers=[job], openapi_config=None),
        ServeOptions(host="127.0.0.1", port=0, end_with_input=True),
        announce=lambda port: print(port, flush=True),
    )
