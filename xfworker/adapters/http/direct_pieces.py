"""The pieces of a file, put into an object store where the server says; the server itself gets what proves them."""

import base64
import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.transfer.upload_source import UploadSource
from xfworker.adapters.wire.file_headers import strong_etag
from xfworker.domain.errors import (
    AuthenticationFailed,
    ConfigurationError,
    FileNotInStore,
    PermissionDenied,
    ProtocolViolation,
    ServerError,
)

_AT_ONCE: Final = 3
"""How many pieces are under way: an object store answers when it has stored one, and the link would stand still."""
_BLOCK: Final = 256 << 10
"""The limit for sending counts per block."""

Elsewhere = Callable[[str], tuple[HttpTransport, str]]
"""Gives the connection to another server, and the path there, of an address."""


class NotReachable(Exception):
    """The object store takes nothing from here, so everything goes through the server."""


class DirectPieces:
    """
    One file on its way into an object store, piece by piece. Memory: four pieces.

    Args:
        source: The file; its digest of the whole is computed by the way.
        what: What to call it.
        piece_bytes: How large a piece is.
        ask: Asks the server where a piece goes: its offset and header fields.
        elsewhere: Connects to the object store.
        arrived: Called when a piece has arrived.
    """

    def __init__(
        self,
        source: UploadSource,
        what: str,
        piece_bytes: int,
        *,
        ask: Callable[[int, Mapping[str, str]], str],
        elsewhere: Elsewhere,
        arrived: Callable[[], None],
    ) -> None:
        self._source, self._what, self._piece_bytes = source, what, piece_bytes
        self._ask, self._elsewhere, self._arrived = ask, elsewhere, arrived
        self._known: list[bytes] = []
        self._has_arrived = False

    def send(self, offset: int) -> str:
        """
        Send everything behind an offset, which the server has, and give the MD5 of the MD5s of all pieces.

        Raises:
            NotReachable: The object store cannot be reached from here, or does not say by MD5 what it has.
            ServerError: It failed after it had taken a piece.
            FileChanged: The file changed while it was read.
        """
        self._known = self._known[: offset // self._piece_bytes]
        self._source.go_to(len(self._known) * self._piece_bytes)
        under_way: deque[Future[None]] = deque()
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="xfworker-pieces") as threads:
            try:
                while (begin := self._source.position) < self._source.size:
                    content = self._source.read(min(self._piece_bytes, self._source.size - begin))
                    md5 = hashlib.md5(content, usedforsecurity=False).digest()
                    if self._source.position > offset:
                        if len(under_way) == _AT_ONCE:
                            self._wait(under_way)
                        self._source.require_unchanged()
                        field = {"Content-MD5": base64.b64encode(md5).decode()}
                        under_way.append(threads.submit(self._put, self._ask(begin, field), field, content))
                        del content
                    self._known.append(md5)
                    self._source.confirm()
                while under_way:
                    self._wait(under_way)
            finally:
                for one in under_way:
                    one.cancel()
        self._source.require_unchanged()
        return hashlib.md5(b"".join(self._known), usedforsecurity=False).hexdigest()

    def _wait(self, under_way: deque[Future[None]]) -> None:
        under_way.popleft().result()
        self._arrived()

    def _put(self, url: str, field: Mapping[str, str], content: bytes) -> None:
        try:
            transport, path = self._elsewhere(url)
            with transport.stream(
                "PUT",
                path,
                doing=f"store {self._what}",
                headers={**field, "Content-Length": str(len(content))},
                body=[content[at : at + _BLOCK] for at in range(0, len(content), _BLOCK)],
            ) as answer:
                tag = strong_etag(answer.headers)
        except (ConfigurationError, AuthenticationFailed, PermissionDenied, FileNotInStore) as error:
            raise NotReachable(str(error)) from error
        except ServerError as error:
            if self._has_arrived:
                raise
            raise NotReachable(str(error)) from error
        if tag != base64.b64decode(field["Content-MD5"]).hex():
            if not self._has_arrived:
                # Buckets with keys of their own (KMS) have tags that say nothing of the content.
                raise NotReachable("the object store does not say by MD5 what it has")
            raise ProtocolViolation(f"storing {self._what}: the object store has another piece than was sent")
        self._has_arrived = True
