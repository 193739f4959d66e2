"""Bodies on their way into the store: written and hashed in other threads while the next bytes come in."""

import asyncio
from typing import Protocol

from xfworker.adapters.web.fss.file_threads import in_file_thread
from xfworker.adapters.web.fss.requests import Request
from xfworker.domain.errors import UsageError


class Sink(Protocol):
    """What takes blocks."""

    def write(self, *blocks: bytes) -> None:
        """Take blocks."""
        ...


async def receive_body(request: Request, sink: Sink, *, limit: int | None = None) -> int:
    """
    Hand a request's body to a sink, writing one batch while the next arrives.

    Args:
        request: The request.
        sink: Gets the blocks in order, from other threads but never two at once.
        limit: The most bytes that may come.

    Returns:
        The bytes received.

    Raises:
        ClientGone: The connection closed before the end; what came was handed over.
        UsageError: More bytes came than announced.
        FileError: The sink failed.
    """
    received = 0
    writing: asyncio.Future[None] | None = None
    try:
        async for blocks in request.blocks():
            received += sum(map(len, blocks))
            if limit is not None and received > limit:
                raise UsageError(f"more bytes came than the {limit} that are missing")
            if writing is not None:
                await writing
            writing = asyncio.ensure_future(in_file_thread(sink.write, *blocks))
        return received
    finally:
        if writing is not None:
            await _finish(writing)


async def _finish(writing: "asyncio.Future[None]") -> None:
    # Whatever ends the receiving, the thread must be out of the sink before anyone closes it.
    while not writing.done():
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            continue
    writing.result()
