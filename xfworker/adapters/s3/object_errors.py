"""What object stores answer, as our errors: by status and code, since obstore calls most of them generic."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError

from xfworker.domain.errors import (
    AuthenticationFailed,
    ConfigurationError,
    FileChanged,
    FileNotInStore,
    NotEnoughSpace,
    PermissionDenied,
    ProtocolViolation,
    ServerBusy,
    ServerCertificateError,
    ServerFault,
    ServerTimeout,
    ServerUnreachable,
    XFWorkerError,
)
from xfworker.domain.files import Resource

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>")
_SAID = re.compile(r"<Message>([^<]{1,300})</Message>")
_SHOWN = 300

_Meaning = tuple[type[XFWorkerError], str]

_NO_BUCKET: _Meaning = (ConfigurationError, "there is no such bucket; check files.bucket and files.endpoint")
_OTHER_REGION: _Meaning = (ConfigurationError, "the bucket is in another region; set files.region")
_CREDENTIALS: _Meaning = (AuthenticationFailed, "the bucket does not accept the credentials")
_NOT_ALLOWED: _Meaning = (PermissionDenied, "the bucket's credentials do not allow it, or are not accepted")
_SLOW_DOWN: _Meaning = (ServerBusy, "the object store asks to slow down")
_FULL: _Meaning = (NotEnoughSpace, "the object store has no room for it")
_TOO_SLOW: _Meaning = (ServerTimeout, "the object store took too long to answer")

_REPLACED: _Meaning = (FileChanged, "another one took its place meanwhile")

_BY_CODE: dict[str, _Meaning] = {
    "ConditionalRequestConflict": _REPLACED,
    "NoSuchUpload": (FileChanged, "what had arrived of it is not there any more"),
    "NoSuchBucket": _NO_BUCKET,
    "AuthorizationHeaderMalformed": _OTHER_REGION,
    "PermanentRedirect": _OTHER_REGION,
    "IllegalLocationConstraintException": _OTHER_REGION,
    "RequestTimeTooSkewed": (AuthenticationFailed, "this computer's clock is not right, by that of the object store"),
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "SlowDown": _SLOW_DOWN,
    "RequestLimitExceeded": _SLOW_DOWN,
    "Throttling": _SLOW_DOWN,
    "QuotaExceeded": _FULL,
    "InsufficientStorage": _FULL,
    "XMinioStorageFull": _FULL,
    "EntityTooLarge": (NotEnoughSpace, "it is larger than the object store takes"),
}
_BY_STATUS: dict[int, _Meaning] = {
    401: _CREDENTIALS,
    403: _NOT_ALLOWED,
    404: _NO_BUCKET,
    408: _TOO_SLOW,
    412: _REPLACED,
    429: _SLOW_DOWN,
    503: _SLOW_DOWN,
    504: _TOO_SLOW,
    507: _FULL,
}
_FIRST_OWN_ERROR = 500

_TEXTS: tuple[tuple[tuple[str, ...], type[XFWorkerError], str], ...] = (
    (
        ("UnknownIssuer", "invalid peer certificate", "CertificateExpired", "NotValidForName", "certificate verify"),
        ServerCertificateError,
        "its certificate is not accepted; check files.endpoint, or name its authority in tls.ca_file",
    ),
    (
        ("InvalidContentType", "InvalidMessage", "wrong version number"),
        ServerCertificateError,
        "TLS failed; does it speak https?",
    ),
    (("dns error", "failed to lookup"), ServerUnreachable, "its name is not known; check files.endpoint"),
    (("ConnectionRefused", "Connection refused"), ServerUnreachable, "connection refused; check files.endpoint"),
    (("TimedOut", "operation timed out", "deadline has elapsed"), ServerTimeout, "it took too long to answer"),
    (
        ("error sending request", "connection closed", "ConnectionReset"),
        ServerUnreachable,
        "no connection could be kept",
    ),
    (("redirect without LOCATION",), ConfigurationError, "the bucket is elsewhere; set files.region"),
)


@contextmanager
def object_errors(doing: str, resource: Resource) -> Iterator[None]:
    """
    Raise our errors for those of obstore.

    Args:
        doing: What is being done, for messages.
        resource: To which file.
    """
    try:
        yield
    except XFWorkerError:
        raise
    except FileNotFoundError as error:
        raise object_error(error, doing, resource) from None
    except PreconditionError:
        raise FileChanged(f"{resource} changed in the store while it was fetched") from None
    except (BaseError, OSError) as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, XFWorkerError):
            raise cause from None
        raise object_error(error, doing, resource) from error


def object_error(error: BaseException, doing: str, resource: Resource) -> XFWorkerError:
    """Give the error that an object store's stands for."""
    text = str(error)
    code = match.group(1) if (match := _CODE.search(text)) else ""
    if isinstance(error, FileNotFoundError) and code not in _BY_CODE:
        return FileNotInStore(f"the file store holds no file {resource}")
    kind, sentence = _meaning(error, text, code)
    return kind(f"cannot {doing}: {sentence}{_said(text, code)}")


def _meaning(error: BaseException, text: str, code: str) -> _Meaning:
    status = int(match.group(1)) if (match := _STATUS.search(text)) else 0
    if code in _BY_CODE:
        return _BY_CODE[code]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status:
        kind = ServerFault if status >= _FIRST_OWN_ERROR else ProtocolViolation
        return kind, f"the object store answered with status {status}"
    if isinstance(error, UnauthenticatedError | PermissionDeniedError):
        return _CREDENTIALS if isinstance(error, UnauthenticatedError) else _NOT_ALLOWED
    for parts, meaning, sentence in _TEXTS:
        if any(part in text for part in parts):
            return meaning, f"the object store could not be asked: {sentence}"
    first_line = text.strip().partition("\n")[0]
    return ServerFault, f"the object store answered with an error ({first_line[:_SHOWN]})"


def _said(text: str, code: str) -> str:
    sentence = match.group(1) if (match := _SAID.search(text)) else ""
    return f" ({code}{': ' if code and sentence else ''}{sentence})" if code or sentence else ""
