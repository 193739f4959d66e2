"""
Every error that this package raises on purpose, as one tree.

A message says what was being done, to which record or file, what went wrong and what the reader can do. No message
ever contains a token or a password. ``code`` is the error's stable name on the wire (the last part of the problem type)
and ``status`` the HTTP status it travels with.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, ClassVar


class XFWorkerError(Exception):
    """The root of the tree: catch this to catch everything that xfworker raises on purpose."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def details(self) -> dict[str, Any]:
        """Give what travels beside the message, as JSON values."""
        return {}


# --- settings and environment ------------------------------------------------------------------------------------


class ConfigurationError(XFWorkerError):
    """A setting or an environment variable is missing or malformed; the message names it."""

    code = "configuration"
    status = 500


class UsageError(XFWorkerError):
    """A command or a function was called in a way that cannot work; nothing was changed."""

    code = "usage"
    status = 400


# --- records ----------------------------------------------------------------------------------------------------


class RecordError(XFWorkerError):
    """Something about a record: it is absent, malformed, or in a state that forbids the change."""

    code = "record"
    status = 400


class RecordNotFound(RecordError):
    """There is no such record, or the caller may not see it."""

    code = "record-not-found"
    status = 404


class InvalidContent(RecordError):
    """
    Something has wrong values, all of which are reported at once.

    Attributes:
        faults: One sentence per violation, each starting with the path to the wrong value.
    """

    code = "invalid-content"
    status = 422

    def __init__(self, message: str, faults: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)

    def details(self) -> dict[str, Any]:
        return {"faults": list(self.faults)}


class InvalidRecord(InvalidContent):
    """A record does not have the documented shape."""

    code = "invalid-record"


class RecordConflict(RecordError):
    """
    The record moved on since it was read, so the change was not applied.

    Attributes:
        attempted: The change or record that was to be saved.
        current: The record as the server holds it now.
    """

    code = "record-conflict"
    status = 409

    def __init__(self, message: str, *, current: Mapping[str, Any], attempted: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.current = dict(current)
        self.attempted = dict(attempted or {})

    def details(self) -> dict[str, Any]:
        return {"current": self.current}


class IllegalTransition(RecordError):
    """A job cannot go from its state to the requested one."""

    code = "illegal-transition"
    status = 422


class RecordLocked(RecordError):
    """The record is locked or obsolete and takes no changes."""

    code = "record-locked"
    status = 423


class InvalidParameter(InvalidContent):
    """One or several parameter values are wrong."""

    code = "invalid-parameter"


class PackageError(InvalidContent):
    """A package folder or archive is not fit to be checked in."""

    code = "package"


# --- access -----------------------------------------------------------------------------------------------------


class AccessError(XFWorkerError):
    """The caller is not known, or may not do this."""

    code = "access"
    status = 403


class AuthenticationFailed(AccessError):
    """The token or password is missing, malformed, expired or revoked."""

    code = "authentication-failed"
    status = 401


class SecondFactorNeeded(AuthenticationFailed):
    """The password is right, and the account has a second factor, of which a code is to be given as well."""

    code = "second-factor-needed"


class PermissionDenied(AccessError):
    """The caller is known, but this is not theirs to do."""

    code = "permission-denied"
    status = 403


class SecondFactorMissing(PermissionDenied):
    """The password is right, but the server demands a second factor, which the account has yet to set up."""

    code = "second-factor-missing"


class LeaseLost(AccessError):
    """The job was given to another worker in the meantime; results of this attempt are refused."""

    code = "lease-lost"
    status = 403


# --- servers and the network ------------------------------------------------------------------------------------


class ServerError(XFWorkerError):
    """A server could not be reached or answered with an error of its own."""

    code = "server"
    status = 502


class ServerUnreachable(ServerError):
    """No connection could be made: wrong host or port, server down, name unknown."""

    code = "server-unreachable"
    status = 503


class ServerCertificateError(ServerError):
    """TLS failed: the server's certificate is unknown, expired, or for another name."""

    code = "server-certificate"
    status = 502


class ServerTimeout(ServerError):
    """The server took longer than the configured limit to answer or to take data."""

    code = "server-timeout"
    status = 504


class RequestTimeout(ServerTimeout):
    """The client began a request and did not go on with it."""

    status = 408


class ServerBusy(ServerError):
    """
    The server asked to slow down (429 or 503) for longer than the configured limit (``patience_seconds``).

    Attributes:
        retry_after_seconds: How long it wants to be left alone, where it said so.
    """

    code = "server-busy"
    status = 503

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class TooManyRequests(ServerBusy):
    """One caller, or one address, asks for more than its share; others are not kept waiting for it."""

    status = 429


class ServerFault(ServerError):
    """The server answered with an error of its own (5xx)."""

    code = "server-fault"
    status = 500


class ProtocolViolation(ServerError):
    """The peer answered something that the protocol does not allow; is it an XF Server at all?"""

    code = "protocol-violation"
    status = 502


# --- files ------------------------------------------------------------------------------------------------------


class FileError(XFWorkerError):
    """Something about a file or its transfer."""

    code = "file"
    status = 400


class InvalidFilename(FileError):
    """A file name from outside is not a single safe path segment."""

    code = "invalid-filename"
    status = 422


class FileNotInStore(FileError):
    """The file store holds no such file."""

    code = "file-not-found"
    status = 404


class FileChanged(FileError):
    """A file changed while it was being read or sent; a mixture of both contents was avoided."""

    code = "file-changed"
    status = 409


class ChecksumMismatch(FileError):
    """What arrived is not what was sent; nothing was kept under the final name."""

    code = "checksum-mismatch"
    status = 460


class NotEnoughSpace(FileError):
    """The disk has no room for the file."""

    code = "not-enough-space"
    status = 507


class TransferInterrupted(FileError):
    """A transfer stopped before its end; its resumable state was kept where there is one."""

    code = "transfer-interrupted"
    status = 503


# --- images -----------------------------------------------------------------------------------------------------


class ImageError(XFWorkerError):
    """Something about an image."""

    code = "image"
    status = 422


class ImageFormatError(ImageError):
    """
    A file is not a well-formed image of the format it claims to be.

    Attributes:
        path: The file.
        offset: The byte offset of the wrong value, where there is one.
        field: The name of the wrong field, where there is one.
    """

    code = "image-format"

    def __init__(
        self, message: str, *, path: PurePath | str, offset: int | None = None, field: str | None = None
    ) -> None:
        where = f"{path}"
        if field is not None:
            where += f": {field}"
        if offset is not None:
            where += f" (byte {offset})"
        super().__init__(f"{where}: {message}")
        self.path = PurePath(path)
        self.offset = offset
        self.field = field


class UnsupportedImage(ImageError):
    """The image is well-formed, but this use of it is not supported; the message says what is."""

    code = "unsupported-image"


# --- jobs -------------------------------------------------------------------------------------------------------


class JobError(XFWorkerError):
    """Something about running a job's script."""

    code = "job"
    status = 422


class BatchSystemError(XFWorkerError):
    """A command of a batch system is absent, or it refused what it was asked."""

    code = "batch-system"


class JobAborted(JobError):
    """The job was aborted by a person or an administrator."""

    code = "job-aborted"


def all_errors() -> dict[str, type[XFWorkerError]]:
    """Give every error class by its ``code``, for adapters that carry errors over a wire."""
    by_code: dict[str, type[XFWorkerError]] = {}
    pending: list[type[XFWorkerError]] = [XFWorkerError]
    while pending:
        error = pending.pop()
        by_code.setdefault(error.code, error)
        pending.extend(error.__subclasses__())
    return by_code
