"""Bodies on their way into the store: written and hashed in other threads while the next bytes come in."""

import asyncio
from typing import Protocol

from attrs import define

from xfworker.adapters.web.fss.file_threads import in_file_thread
from xfworker.adapters.web.fss.requests import Request
from xfworker.domain.errors import UsageError

_LARGEST_BATCH = 4 << 20
_SMALLEST_BATCH = 256 << 10
_BATCHES_BYTES = 64 << 20
"""What the batches of all bodies under way take, two of each."""


class Sink(Protocol):
    """What takes blocks."""

    def write(self, *blocks: bytes) -> None:
        """Take blocks."""
        ...


@define
class BodiesUnderWay:
    """
    Bodies that are being received: the more of them, the smaller the batches that are written at once.

    Handing a batch over to another thread takes as long as writing some 50 KiB, so a few uploads have large ones; with
    many of them, memory is bounded.
    """

    _count: int = 0

    @property
    def batch_bytes(self) -> int:
        """How large a batch may be by now: of each body one is written while the next comes in."""
        return max(_SMALLEST_BATCH, min(_LARGEST_BATCH, _BATCHES_BYTES // max(2 * self._count, 1)))

    async def receive(self, request: Request, sink: Sink, *, limit: int | None = None) -> int:
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
        self._count += 1
        try:
            async for blocks in request.blocks(lambda: self.batch_bytes):
                received += sum(map(len, blocks))
                if limit is not None and received > limit:
                    raise UsageError(f"more bytes came than the {limit} that are missing")
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(in_file_thread(sink.write, *blocks))
            return received
        finally:
            self._count -= 1
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
