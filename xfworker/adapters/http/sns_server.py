"""The catalogue of measurements over HTTP."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode

from xfworker.adapters.http.transport import BLOCK_BYTES, HttpTransport
from xfworker.adapters.transfer.os_errors import disk_errors
from xfworker.adapters.transfer.partial_file import replacing
from xfworker.adapters.wire.byte_range import write_range
from xfworker.adapters.wire.codec import read_answer
from xfworker.adapters.wire.records import Items
from xfworker.domain.errors import (
    FileChanged,
    ProtocolViolation,
    ServerTimeout,
    ServerUnreachable,
    TransferInterrupted,
    XFWorkerError,
)
from xfworker.ports.clock import Clock
from xfworker.ports.sns_server import Measurement
from xfworker.services.retry_policy import RetryPolicy

BASE = "/sns/v1"
"""The base path of the protocol's first version."""

_PARTIAL = 206
_RETRY = RetryPolicy(
    on=(ServerUnreachable, ServerTimeout), attempts=5, first_wait_seconds=0.5, longest_wait_seconds=4.0
)


class HttpSnsServer:
    """The catalogue over HTTP, as the caller whose token the transport carries."""

    def __init__(self, transport: HttpTransport, clock: Clock, *, base: str = BASE) -> None:
        """Take the transport, which is closed with this object."""
        self._transport = transport
        self._clock = clock
        self._base = base

    def __repr__(self) -> str:
        return f"HttpSnsServer({self._transport.url + self._base!r})"

    def measurements(
        self, *, patient_index: int | None = None, measurement_index: int | None = None
    ) -> Sequence[Measurement]:
        indices = {"patient_index": patient_index, "measurement_index": measurement_index}
        query = urlencode({name: index for name, index in indices.items() if index is not None})
        doing = "list measurements"
        path = f"{self._base}/measurements" + (f"?{query}" if query else "")
        value = self._transport.request("GET", path, doing=doing).json()
        return read_answer(Items[Measurement], value, doing).items

    def download(self, measurement_index: int, target: Path) -> Path:
        """
        Fetch a measurement's ISQ file; ``target`` appears only when complete. A cut link is taken up where it broke.

        Raises:
            RecordNotFound: There is no such measurement.
            TransferInterrupted: The link broke again and again.
            FileChanged: The file changed meanwhile.
        """
        doing = f"fetch measurement {measurement_index}"
        with disk_errors(f"{doing} to {target}"), replacing(target) as partial, partial.open("wb") as file:
            self._fetch(f"{self._base}/measurements/{measurement_index}/file", file, doing)
        return target

    def _fetch(self, path: str, file: BinaryIO, doing: str) -> None:
        def broken(error: XFWorkerError) -> TransferInterrupted:
            return TransferInterrupted(f"could not {doing}: the link broke too often ({error})")

        etag: str | None = None
        size: int | None = None
        retries = _RETRY.begin(self._clock, doing, exhausted=broken)
        while size is None or file.tell() < size:
            offset = file.tell()
            headers = {"Range": write_range(offset), "If-Range": etag} if offset and etag else {}
            try:
                with self._transport.stream("GET", path, doing=doing, headers=headers) as answer:
                    if offset and (answer.status != _PARTIAL or answer.headers.get("etag") != etag):
                        raise FileChanged(f"could not {doing}: the file changed meanwhile; fetch it again")
                    if answer.length is None:
                        raise ProtocolViolation(f"could not {doing}: the answer does not state its length")
                    etag, size = answer.headers.get("etag"), offset + answer.length
                    view = memoryview(bytearray(BLOCK_BYTES))
                    while count := answer.read_into(view):
                        file.write(view[:count])
            except (ServerUnreachable, ServerTimeout) as error:
                if file.tell() and etag is None:
                    raise broken(error) from error
                if file.tell() > offset:
                    retries.progressed()
                retries.wait(error)

    def close(self) -> None:
        self._transport.close()
