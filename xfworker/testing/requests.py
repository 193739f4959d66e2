"""What a script asked for, in the order in which it did."""

import threading

from attrs import define, field


@define(frozen=True, kw_only=True)
class Request:
    """
    One thing that a script asked of the server or of the file store.

    Attributes:
        operation: What, by the name of the port's method (``get``, ``update``, ``upload`` ...); over HTTP the method.
        target: Of which record or file, such as ``job 17`` or ``job_result/17/scan.omni``; over HTTP the path.
        error: The name of the error that came back, or the HTTP status from 400 on; empty where it went well.
        bytes: How many bytes of a file travelled.
    """

    operation: str
    target: str
    error: str = ""
    bytes: int = 0

    def __str__(self) -> str:
        return f"{self.operation} {self.target}" + (f" -> {self.error}" if self.error else "")


@define
class RequestLog:
    """Keeps requests in order. Safe to use from several threads."""

    _requests: list[Request] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)

    def add(self, request: Request) -> None:
        """Record a request."""
        with self._lock:
            self._requests.append(request)

    def position(self) -> int:
        """Give the position of the next request, for :meth:`since`."""
        with self._lock:
            return len(self._requests)

    def since(self, position: int = 0) -> tuple[Request, ...]:
        """Give the requests from a position on."""
        with self._lock:
            return tuple(self._requests[position:])
