"""
What uploads to the server of this package are held against: Granian, bare, that writes a body and hashes it by XXH3.

Started by :mod:`benchmarks.transfers`: ``python -m benchmarks.hashing_sink FOLDER``; prints its port. It checks no
token and keeps one file.
"""

import logging
import os
import sys
from pathlib import Path
from typing import Any

import structlog
import xxhash

from xfworker.adapters.web.serving import ServeOptions, serve


def sink(folder: Path) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, status = b"tiny", 200
        if scope["method"] == "PUT":
            digest = xxhash.xxh3_128()
            with (folder / "sink.partial").open("wb", buffering=0) as file:
                more = True
                while more:
                    message = await receive()
                    block = message.get("body", b"")
                    file.write(block)
                    digest.update(block)
                    more = message.get("more_body", False)
            (folder / "sink.partial").replace(folder / "sink")
            body, status = digest.hexdigest().encode(), 201
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return application


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    options = ServeOptions(host="127.0.0.1", port=0, end_with_input=True)
    serve(sink(Path(sys.argv[1])), options, announce=lambda port: print(port, flush=True))
    os._exit(0)  # Granian's threads may outlive its server, and abort a process that ends while they call into it
