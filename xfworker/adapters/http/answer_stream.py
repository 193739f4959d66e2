"""The body of an answer as it arrives, into memory that is used again."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from urllib3 import BaseHTTPResponse

from xfworker.adapters.http.connection import NETWORK_ERRORS, network_error
from xfworker.adapters.http.low_water_mark import LowWaterMark
from xfworker.adapters.wire.digits import read_digits
from xfworker.domain.errors import ProtocolViolation, ServerTimeout, ServerUnreachable

_WITHOUT_BODY = frozenset({204, 304})
_READ_AT_ONCE = 64 * 1024
_WORTH_WAKING = 512 * 1024
"""For how much a reader of a fast link is woken; more lets the sender wait for room, less gains less."""


class AnswerStream:
    """
    An answer whose body is read piece by piece.

    Attributes:
        status: HTTP status.
        headers: Header fields; names are compared without case.
        length: Bytes of the body, where the server states it.
        received: Bytes read so far.
    """

    def __init__(self, response: BaseHTTPResponse, *, method: str, doing: str, at: str) -> None:
        """
        Take an answer whose body was not read.

        Raises:
            ProtocolViolation: The body is compressed although that was not asked for.
        """
        self._response = response
        self._doing = doing
        self._at = at
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self.length = read_digits(response.headers.get("content-length"))
        if method == "HEAD" or response.status in _WITHOUT_BODY:
            self.length = 0
        self.received = 0
        require_uncompressed(response, doing=doing, at=at)
        # http.client fills a buffer; urllib3 makes new bytes of each piece, which at 1 MiB costs half the speed.
        self._inner: Any = getattr(response, "_fp", None)
        self._mark = LowWaterMark(response)
        self._read_into: Any = getattr(self._inner, "readinto", None) or response.readinto

    def read_into(self, view: memoryview, *, in_bulk: bool = False) -> int:
        """
        Fill memory with the next bytes; 0 at the end of a body that is complete.

        Args:
            view: The memory.
            in_bulk: Let the system collect half a mebibyte before it wakes this thread, where that can be had. For
                links known to be fast: one that brings less within the time limit counts as silent.

        Raises:
            ServerError: The connection broke, or fell silent.
        """
        left = 0 if self.length is None else self.length - self.received
        if in_bulk and left >= len(view) + _WORTH_WAKING:
            self._mark.raise_to(_WORTH_WAKING)
        else:
            self._mark.lower()
        try:
            count: int = self._read_into(view)
        except TimeoutError as error:
            raise ServerTimeout(
                f"could not {self._doing} at {self._at}: the server fell silent after {self.received} bytes"
            ) from error
        except NETWORK_ERRORS as error:
            raise network_error(error, doing=self._doing, at=self._at) from error
        except ValueError as error:  # closed by another thread that wants this one to stop
            raise ServerUnreachable(f"could not {self._doing} at {self._at}: the connection was closed") from error
        self.received += count
        if not count and self.length is not None and self.received < self.length:
            raise ServerUnreachable(
                f"could not {self._doing} at {self._at}: the connection broke after {self.received} of {self.length} "
                "bytes"
            )
        return count

    def read(self, limit: int) -> bytes:
        """
        Give the rest of the body, at most ``limit`` bytes.

        Raises:
            ServerError: The connection broke, or fell silent.
        """
        content = bytearray()
        view = memoryview(bytearray(min(limit, _READ_AT_ONCE if self.length is None else max(self.length, 1))))
        while len(content) < limit and (count := self.read_into(view[: limit - len(content)])):
            content += view[:count]
            if self.length is not None and self.received >= self.length:
                break
        return bytes(content)

    def abort(self) -> None:
        """Cut the connection; may be called from another thread."""
        # Closing alone does not wake a thread that waits for bytes.
        with suppress(OSError, ValueError, RuntimeError):
            self._response.shutdown()
        with suppress(OSError, ValueError):
            self._response.close()

    def close(self) -> None:
        """Keep the connection where the body was read to its end, else close it."""
        self._mark.lower()
        if self.length is not None and self.received >= self.length:
            if self._inner is None or not self._inner.isclosed():
                with suppress(*NETWORK_ERRORS, ValueError):
                    self._response.read()  # nothing is left, but http.client has to read the end itself
            self._response.release_conn()
        else:
            self.abort()


def require_uncompressed(response: BaseHTTPResponse, *, doing: str, at: str) -> None:
    """
    Refuse a compressed body: that was not asked for, and how large it becomes nobody knows.

    Raises:
        ProtocolViolation: It is compressed; the connection is closed.
    """
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        response.close()
        raise ProtocolViolation(
            f"could not {doing} at {at}: the answer is compressed ({encoding:.40}) although that was not asked for; "
            "is there a proxy in between that changes bodies?"
        )
