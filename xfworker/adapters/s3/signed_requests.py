"""
Requests to S3 that obstore does not offer: putting an object together inside the store, and conditions.

A condition is checked by the store at the moment of the change. Stores that know none leave it out, or answer with 501,
and then it is left out here. Signed by AWS Signature Version 4
(docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
"""

import base64
import hashlib
import hmac
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urlsplit

import urllib3
from attrs import define, field

from xfworker.adapters.s3.object_errors import object_error
from xfworker.domain.errors import XFWorkerError
from xfworker.domain.files import Resource
from xfworker.services.event_log import EventLog

Condition = Mapping[str, str]
"""The header fields of a condition."""
ANYHOW: Final[Condition] = MappingProxyType({})
"""No condition."""
ABSENT: Final[Condition] = MappingProxyType({"if-none-match": "*"})
"""There is no object of this name."""

_EMPTY: Final = hashlib.sha256(b"").hexdigest()
_METADATA: Final = "x-amz-meta-"
_BYTES: Final = "application/octet-stream"
_FIRST_ERROR: Final = 300
_ATTEMPTS: Final = 4
_UPLOAD_ID = re.compile(r"<UploadId>([^<]+)</UploadId>")
_ETAG = re.compile(r"<ETag>(?:&quot;|&#34;|\")?([^<&\"]+)(?:&quot;|&#34;|\")?</ETag>")

_log = EventLog("xfworker.files")


def unchanged(etag: str) -> Condition:
    """Give the condition that the object still has this entity tag."""
    return {"if-match": f'"{etag}"'}


@define(frozen=True, kw_only=True)
class S3Access:
    """
    How a bucket is reached.

    Attributes:
        bucket: Its name.
        endpoint: The server, without a slash at the end.
        region: The bucket's region.
        access_key: The credentials' name.
        secret_key: The credentials' secret; never shown.
        session_token: What comes with credentials that end, or ``None``; never shown.
        tls_ca_file: PEM file of an authority to trust besides the system's.
        connect_seconds: How long a connection may take.
        read_seconds: How long a request may stand still.
    """

    bucket: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    tls_ca_file: Path | None = None
    connect_seconds: float = 10.0
    read_seconds: float = 60.0


class SignedRequests:
    """Requests to one bucket; safe to use from several threads."""

    def __init__(self, access: S3Access) -> None:
        """Take how the bucket is reached; nothing is connected yet."""
        self._access = access
        self._host = urlsplit(access.endpoint).netloc
        self._lock = threading.Lock()
        self._own_pool: urllib3.PoolManager | None = None
        self._takes_conditions = True

    @property
    def _pool(self) -> urllib3.PoolManager:
        with self._lock:
            if self._own_pool is None:
                access = self._access
                self._own_pool = urllib3.PoolManager(
                    maxsize=16,
                    ca_certs=None if access.tls_ca_file is None else str(access.tls_ca_file),
                    timeout=urllib3.Timeout(connect=access.connect_seconds, read=access.read_seconds),
                    retries=urllib3.Retry(
                        _ATTEMPTS,
                        redirect=0,
                        allowed_methods=None,  # each of these requests may be sent twice
                        status_forcelist=(500, 502, 503, 504),
                        backoff_factor=0.2,
                        raise_on_status=False,
                    ),
                )
            return self._own_pool

    def put(
        self,
        target: str,
        content: bytes,
        sha256: str,
        metadata: Mapping[str, str],
        what: Resource,
        *,
        condition: Condition = ANYHOW,
    ) -> str:
        """Make an object of bytes with this SHA-256, by which the store checks what arrives; give its entity tag."""
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        headers = {"x-amz-checksum-sha256": checksum, "content-type": _BYTES, **_metadata_headers(metadata)}
        answer = self._ask("PUT", target, what, headers=headers, body=content, sha256=sha256, condition=condition)
        return (answer.headers.get("etag") or "").strip('"')

    def copy(
        self,
        source: str,
        target: str,
        metadata: Mapping[str, str],
        what: Resource,
        *,
        etag: str | None = None,
        condition: Condition = ANYHOW,
    ) -> str:
        """
        Copy an object of at most 5 GiB inside the bucket, with metadata of its own, and give its entity tag.

        With ``etag`` the store refuses where the source is not that object any more.
        """
        headers = {
            **self._source(source, etag),
            "x-amz-metadata-directive": "REPLACE",
            "content-type": _BYTES,
            **_metadata_headers(metadata),
        }
        return _etag(self._ask("PUT", target, what, headers=headers, condition=condition))

    def begin(self, target: str, metadata: Mapping[str, str], what: Resource) -> str:
        """Begin an object of several parts, and give the identifier of that upload."""
        headers = {"content-type": _BYTES, **_metadata_headers(metadata)}
        return _found(_UPLOAD_ID, self._ask("POST", target, what, query={"uploads": ""}, headers=headers))

    def copy_part(
        self, source: str, target: str, upload: str, number: int, what: Resource, *, etag: str | None = None
    ) -> str:
        """Make another object of the bucket a part of an upload, and give the part's entity tag; ``etag`` as before."""
        query = {"partNumber": str(number), "uploadId": upload}
        return _etag(self._ask("PUT", target, what, query=query, headers=self._source(source, etag)))

    def complete(
        self, target: str, upload: str, etags: list[str], what: Resource, *, condition: Condition = ANYHOW
    ) -> str:
        """Make the object of its parts: it appears as a whole. Give its entity tag."""
        parts = "".join(
            f'<Part><PartNumber>{number}</PartNumber><ETag>"{etag}"</ETag></Part>'
            for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        return _etag(self._ask("POST", target, what, query={"uploadId": upload}, body=body, condition=condition))

    def abort(self, target: str, upload: str, what: Resource) -> None:
        """End an upload without its object."""
        self._ask("DELETE", target, what, query={"uploadId": upload})

    def delete(self, target: str, what: Resource, *, condition: Condition = ANYHOW) -> None:
        """Delete an object."""
        self._ask("DELETE", target, what, doing="delete", condition=condition)

    def _source(self, key: str, etag: str | None) -> dict[str, str]:
        headers = {"x-amz-copy-source": quote(f"/{self._access.bucket}/{key}", safe="/~")}
        return headers if etag is None else {**headers, "x-amz-copy-source-if-match": f'"{etag}"'}

    def _ask(
        self,
        method: str,
        key: str,
        what: Resource,
        *,
        doing: str = "store",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        sha256: str | None = None,
        condition: Condition = ANYHOW,
    ) -> urllib3.BaseHTTPResponse:
        path = quote(f"/{self._access.bucket}/{key}", safe="/~")
        arguments = "&".join(
            f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted((query or {}).items())
        )
        prefix = urlsplit(self._access.endpoint).path.rstrip("/")
        origin = "://".join(urlsplit(self._access.endpoint)[:2])
        url = f"{origin}{prefix}{path}" + (f"?{arguments}" if arguments else "")
        digest = sha256 or (hashlib.sha256(body).hexdigest() if body else _EMPTY)

        def send(fields: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
            signed = self._signed(method, prefix + path, arguments, {**(headers or {}), **fields}, digest)
            try:
                return self._pool.request(method, url, headers=signed, body=body)
            except urllib3.exceptions.HTTPError as error:
                raise _unreachable(error, f"{doing} {what}", what) from None

        answer = send(condition if self._takes_conditions else ANYHOW)
        if answer.status == HTTPStatus.NOT_IMPLEMENTED and condition and self._takes_conditions:
            # One of the stores that know no conditions, and say so; others leave them out by themselves.
            self._takes_conditions = False
            _log.warning("xfworker.store_without_conditions", store=self._access.endpoint)
            answer = send(ANYHOW)
        # A long request is answered with 200 before the store knows how it ends.
        if answer.status >= _FIRST_ERROR or b"<Error>" in answer.data[:1000]:
            status = answer.status if answer.status >= _FIRST_ERROR else 500
            text = answer.data.decode("utf-8", "replace")
            raise object_error(OSError(f"status code: {status} {text}"), f"{doing} {what}", what)
        return answer

    def _signed(self, method: str, path: str, query: str, headers: dict[str, str], digest: str) -> dict[str, str]:
        access = self._access
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        fields = {**headers, "host": self._host, "x-amz-date": now, "x-amz-content-sha256": digest}
        if access.session_token is not None:
            fields["x-amz-security-token"] = access.session_token
        names = sorted(fields)
        canonical = "\n".join(
            [method, path, query, *(f"{name}:{fields[name].strip()}" for name in names), "", ";".join(names), digest]
        )
        scope = f"{now[:8]}/{access.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = b"AWS4" + access.secret_key.encode()
        for part in (now[:8], access.region, "s3", "aws4_request", text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        credential = f"Credential={access.access_key}/{scope}"
        fields["authorization"] = (
            f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={';'.join(names)}, Signature={key.hex()}"
        )
        return fields

    def close(self) -> None:
        """Close the connections."""
        if self._own_pool is not None:
            self._own_pool.clear()


def _metadata_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"{_METADATA}{name}": value for name, value in metadata.items()}


def _found(pattern: re.Pattern[str], answer: urllib3.BaseHTTPResponse) -> str:
    match = pattern.search(answer.data.decode("utf-8", "replace"))
    if match is None:
        raise object_error(OSError(f"an answer without {pattern.pattern}"), "store a file", Resource(("",)))
    return match.group(1)


def _etag(answer: urllib3.BaseHTTPResponse) -> str:
    return _found(_ETAG, answer)


def _unreachable(error: urllib3.exceptions.HTTPError, doing: str, what: Resource) -> XFWorkerError:
    reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    timed_out = isinstance(reason, urllib3.exceptions.TimeoutError)
    words = "operation timed out" if timed_out else f"error sending request {reason}"
    return object_error(OSError(words), doing, what)
