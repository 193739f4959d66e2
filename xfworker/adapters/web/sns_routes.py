"""The catalogue of measurements over HTTP: a list, and the files."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from litestar import Response, Router, get
from litestar.params import FromPath
from litestar.response import Stream

from xfworker.adapters.web.exchange import AnyRequest, answer_message, authentication, caller, in_thread
from xfworker.adapters.wire.byte_range import answer_range
from xfworker.adapters.wire.digits import read_integer
from xfworker.adapters.wire.records import Items
from xfworker.domain.errors import UsageError
from xfworker.ports.sns_server import Measurement, MeasurementFiles
from xfworker.services.platform.platform import Platform

MOUNT = "/sns/v1"
"""The base path of the catalogue."""

_BINARY = "application/octet-stream"
_BLOCK = 1 << 20


def sns_router(catalogue: MeasurementFiles, platform: Platform) -> Router:
    """
    Give the routes of the catalogue. Every caller whom the XF Server knows may read it.

    Args:
        catalogue: The measurements.
        platform: Knows the callers.
    """

    def require_caller(request: AnyRequest) -> None:
        # Asking for the configuration also shows whether a script's attempt at its job still runs.
        platform.server_for(caller(request)).global_config()

    @get("/measurements")
    async def measurements(request: AnyRequest) -> Response[bytes]:
        indices = {
            name: _index(request.query_params.get(name), name) for name in ("patient_index", "measurement_index")
        }

        def read() -> Items[Measurement]:
            require_caller(request)
            return Items(items=list(catalogue.measurements(**indices)))

        return answer_message(await in_thread(read))

    @get("/measurements/{index:str}/file")
    async def file(request: AnyRequest, index: FromPath[str]) -> Response[Any]:
        def find() -> tuple[Path, str, int]:
            require_caller(request)
            path, measurement = catalogue.file(_index(index, "measurement_index") or 0)
            state = path.stat()
            return path, f'"{state.st_size:x}-{state.st_mtime_ns:x}"', measurement.size_bytes

        path, etag, size = await in_thread(find)
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        part = answer_range(request.headers, size=size, etag=etag)
        headers |= part.headers
        if part.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return Response(content=b"", status_code=part.status, headers=headers)
        blocks = _blocks(path, part.start, part.end)
        return Stream(blocks, status_code=part.status, headers=headers, media_type=_BINARY)

    return Router(path=MOUNT, route_handlers=[measurements, file], before_request=authentication(platform))


def _blocks(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as opened:
        opened.seek(start)
        left = end - start
        while left and (block := opened.read(min(_BLOCK, left))):
            left -= len(block)
            yield block


def _index(value: str | None, name: str) -> int | None:
    if value is None:
        return None
    index = read_integer(value)
    if index is None:
        raise UsageError(f"{name} must be an integer, not {value[:40]!a}")
    return index
