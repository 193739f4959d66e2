"""
Stores a file by the tus 1.0 protocol (tus.io), resumed where it broke off.

On a server of this project each request carries the digest of everything before it and the last one that of the whole,
so both sides read every byte once; by XXH3 where the server knows that, else by SHA-256. On another tus server each
request carries its own checksum, where the server offers that.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from attrs import define

from xfworker.adapters.http.answer_stream import AnswerStream
from xfworker.adapters.http.direct_pieces import DirectPieces, Elsewhere, NotReachable
from xfworker.adapters.http.file_bearer import FileBearer
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.transfer import journal
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.adapters.transfer.upload_source import UploadSource
from xfworker.adapters.wire.digits import read_digits
from xfworker.adapters.wire.file_headers import (
    DIGEST_FIELDS,
    PIECE_BYTES,
    PIECES_DIGEST,
    TAKES_REDIRECTS,
    strong_etag,
)
from xfworker.adapters.wire.tus import TUS_HEADERS, UPLOAD_TYPE, write_metadata
from xfworker.domain.address import Address
from xfworker.domain.digest_field import SHA256, XXH3, read_digest, write_digest
from xfworker.domain.errors import (
    AuthenticationFailed,
    ChecksumMismatch,
    ConfigurationError,
    ProtocolViolation,
    ServerError,
    ServerFault,
)
from xfworker.ports.file_store import Progress
from xfworker.services.event_log import EventLog
from xfworker.services.retry_policy import Retries

_REDIRECT, _OFFSET_MOVED, _MISMATCH = 307, 409, 460
_GONE = frozenset({403, 404, 410})
_CHECKSUMS = ("sha256", "sha1", "md5")
_PREFIX_DIGESTS = tuple(DIGEST_FIELDS)
"""Kinds of digest of everything before a request that a server may offer; the first is preferred."""
_CHECKED_BYTES = 8 << 20
"""How much one request carries where its checksum has to be known before it is sent: it is held in memory."""

_log = EventLog("xfworker.transfers")


@define(frozen=True, kw_only=True)
class TusResult:
    """
    What is known when the server has everything.

    Attributes:
        sha256: Computed here, or what the server says of the same bytes; ``None`` where it does not know it yet.
        xxh3: Computed here, where both sides check by it.
        etag: The server's tag of this content.
    """

    sha256: str | None
    xxh3: str | None
    etag: str | None


class _Moved(Exception):
    """The upload stands somewhere else than was thought."""


class TusUpload:
    """One file on its way to a tus server."""

    def __init__(
        self,
        transport: HttpTransport,
        endpoint: str,
        source: UploadSource,
        *,
        what: str,
        metadata: Mapping[str, str],
        bearer: FileBearer | None = None,
        headers: Mapping[str, str] | None = None,
        limits: TransferLimits,
        retries: Retries,
        progress: Progress | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """
        Prepare; nothing is sent yet.

        Args:
            transport: The server.
            endpoint: Path at which uploads are created.
            source: The file.
            what: What to call it.
            metadata: The upload's ``Upload-Metadata``.
            bearer: The token of every request, where it is one for files.
            headers: Header fields of every request besides.
            limits: How it is cut into pieces.
            retries: When it goes on after an error.
            progress: Called with bytes done and bytes in all.
            elsewhere: Connects to an object store that the server names, where pieces may be put there.
        """
        self._elsewhere = elsewhere
        self._pieces: DirectPieces | None = None
        self._transport = transport
        self._endpoint = endpoint
        self._source = source
        self._what = what
        self._metadata = metadata
        self._bearer = bearer
        self._headers = {**TUS_HEADERS, **(headers or {})}
        self._limits = limits
        self._retries = retries
        self._progress = progress
        key = f"upload|{transport.url}{endpoint}|{what}|{source.path.absolute()}"
        folder = source.path.absolute().parent
        self._journal = journal.begin(folder, key)
        self._upload: str | None = None
        self._prefix_digest: str | None = None
        self._checksum: str | None = None
        self._completed: Mapping[str, str] = {}
        self._confirmed = 0
        self._renewed_at = -1
        self._own: dict[str, str] = {}

    def run(self) -> TusResult:
        """
        Send the file.

        Raises:
            FileChanged: The file changed while it was read.
            ChecksumMismatch: It arrived damaged, repeatedly.
            NotEnoughSpace: The server has no room.
            TransferInterrupted: The link broke for too long; a later call goes on from there.
        """
        self._resume()
        offset: int | None = None
        try:
            while True:
                try:
                    result = self._step(offset)
                    if result is not None:
                        return result
                    offset = self._source.position
                except _Moved as moved:
                    offset = None
                    # Rare and harmless once; but a peer that says so for ever must not keep this going for ever.
                    self._retries.wait(ServerFault(str(moved)))
                except ChecksumMismatch as damaged:
                    offset = None
                    self._retries.start_over(damaged)
                except ServerError as error:
                    offset = None
                    self._retries.wait(error)
                except AuthenticationFailed as ended:
                    offset = None
                    if self._bearer is None or self._renewed_at == self._confirmed:
                        raise  # a new token brought nothing
                    self._renewed_at = self._confirmed
                    self._bearer.renew(self._own, ended)
        except BaseException:
            self._journal.release()
            raise

    def _step(self, offset: int | None) -> TusResult | None:
        """Find out where the upload stands, if need be, and send the next request from there."""
        if self._upload is None:
            offset = self._create()
        elif offset is None:
            offset = self._ask_offset()
        if self._pieces is not None and not self._completed:
            return self._send_pieces(self._pieces, offset)
        self._source.go_to(offset)
        if offset == self._source.size:
            return self._finished(self._completed)
        self._source.require_unchanged()
        return self._send(offset)

    # --- where it stands ------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        fields = self._journal.fields
        if fields.get("identity") == self._source.identity and isinstance(fields.get("upload"), str):
            self._upload = fields["upload"]
            self._check_prefixes_by(fields.get("prefix_digest"))
            self._checksum = fields.get("checksum")

    def _create(self) -> int:
        metadata = write_metadata(self._metadata)
        headers = {"Upload-Length": str(self._source.size), "Upload-Metadata": metadata, "Content-Length": "0"}
        with self._stream("POST", self._endpoint, headers) as answer:
            location = answer.headers.get("location")
            if location is None:
                raise ProtocolViolation(f"storing {self._what}: the server created an upload without an address")
            self._upload = self._below(location)
            offered = {part.strip() for part in answer.headers.get("xf-prefix-digest", "").split(",")}
            pieces = answer.headers
        self._check_prefixes_by(next((name for name in _PREFIX_DIGESTS if name in offered), None))
        self._offer_pieces(pieces)
        if self._prefix_digest is None:
            self._checksum = self._offered_checksum()
        self._journal.save(
            upload=self._upload,
            identity=self._source.identity,
            prefix_digest=self._prefix_digest,
            checksum=self._checksum,
        )
        return 0

    def _check_prefixes_by(self, algorithm: str | None) -> None:
        self._prefix_digest = algorithm if algorithm in _PREFIX_DIGESTS else None
        self._source.check_by(self._prefix_digest or SHA256)

    def _below(self, location: str) -> str:
        try:
            url = urljoin(self._transport.url + self._endpoint, location)
            is_same = Address.read(url).at == self._transport.at
        except (ConfigurationError, ValueError):
            is_same = False
        if not is_same:
            raise ProtocolViolation(
                f"storing {self._what}: the upload's address is on another server ({location[:200]!a}), which must "
                "not see this token"
            )
        parts = urlsplit(url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def _offered_checksum(self) -> str | None:
        with self._stream("OPTIONS", self._endpoint, {}) as answer:
            extensions = {part.strip() for part in answer.headers.get("tus-extension", "").split(",")}
            offered = {part.strip() for part in answer.headers.get("tus-checksum-algorithm", "").split(",")}
        if "checksum" not in extensions:
            return None
        return next((name for name in _CHECKSUMS if name in offered), None)

    def _ask_offset(self) -> int:
        assert self._upload is not None
        with self._stream("HEAD", self._upload, {}, accept=_GONE) as answer:
            if answer.status in _GONE:
                raise self._begin_again("the server does not know it any more")
            offset = _offset(answer, self._what)
            if offset > self._source.size:
                raise self._begin_again("the server has more than there is")
            fields = _lowered(answer)
        self._offer_pieces(fields)
        if offset == self._source.size and self._pieces is not None and "xf-upload-complete" not in fields:
            return offset  # all pieces are there, and not yet put together
        if offset == self._source.size:
            self._source.go_to(offset)
            self._completed = fields
            if self._stated_digest(fields) not in {None, self._source.digest()}:
                raise self._begin_again("it was completed with what the file held before")
        if offset > self._confirmed:
            self._confirmed = offset
            self._retries.progressed()  # a request that broke brought something nevertheless
        if offset:
            _log.info("xfworker.upload_resumed", file=self._what, bytes=offset)
        return offset

    def _begin_again(self, reason: str) -> _Moved:
        _log.info("xfworker.upload_restarted", file=self._what, reason=reason)
        self._upload = None
        return _Moved(f"the upload of {self._what} had to be begun again: {reason}")

    # --- pieces that go to an object store ------------------------------------------------------------------------

    def _offer_pieces(self, headers: Mapping[str, str]) -> None:
        """Take what the server says of pieces; those that were sent are remembered."""
        size = read_digits(headers.get(PIECE_BYTES.lower()))
        if not size or self._elsewhere is None or self._source.algorithm != XXH3:
            self._pieces = None
        elif self._pieces is None:
            self._pieces = DirectPieces(
                self._source,
                self._what,
                size,
                ask=self._ask_address,
                elsewhere=self._elsewhere,
                arrived=self._piece_arrived,
            )

    def _send_pieces(self, pieces: DirectPieces, offset: int) -> TusResult | None:
        try:
            pieces_md5 = pieces.send(offset)
        except NotReachable as error:
            # The object store may be reached by the server only; then everything goes through the server.
            _log.info("xfworker.upload_not_redirected", file=self._what, reason=str(error))
            self._elsewhere = self._pieces = None
            return self._step(None)
        headers = self._request_headers(self._source.size)
        headers[DIGEST_FIELDS[XXH3]] = write_digest(self._source.digest(), XXH3)
        headers[PIECES_DIGEST] = pieces_md5
        return self._finished(self._patch(headers, 0, None))

    def _ask_address(self, offset: int, field: Mapping[str, str]) -> str:
        assert self._upload is not None
        path, headers = f"{self._upload}/{offset}", {**field, "Content-Length": "0"}
        with self._stream("PUT", path, headers, accept=frozenset({_REDIRECT, *_GONE})) as answer:
            location = answer.headers.get("location")
            if answer.status in _GONE or location is None:
                raise _Moved(f"the upload of {self._what} takes no piece at {offset}")
            return str(location)

    def _piece_arrived(self) -> None:
        self._retries.progressed()
        self._report()

    # --- sending --------------------------------------------------------------------------------------------------

    def _send(self, offset: int) -> TusResult | None:
        """Send the next request; gives the result where it was the last."""
        missing = self._source.size - offset
        if self._prefix_digest is None:
            return self._send_checked(offset, missing)
        headers = self._request_headers(offset)
        headers["XF-Prefix-Digest"] = write_digest(self._source.digest(), self._prefix_digest)
        # The last block goes alone: by then the digest of the whole is known, and the file is still the same.
        last = missing <= self._limits.block_bytes
        if not last:
            count = min(missing - self._limits.block_bytes, self._limits.request_bytes)
            self._patch(headers, count, self._reporting(self._source.blocks(count)))
            return None
        block = self._source.read(missing)
        self._source.require_unchanged()
        headers[DIGEST_FIELDS[self._prefix_digest]] = write_digest(self._source.digest(), self._prefix_digest)
        return self._finished(self._patch(headers, missing, block))

    def _send_checked(self, offset: int, missing: int) -> TusResult | None:
        headers = self._request_headers(offset)
        body: Any
        if self._checksum is None:
            count = min(missing, self._limits.request_bytes)
            body = self._reporting(self._source.blocks(count))
        else:
            count = min(missing, _CHECKED_BYTES)
            body = self._source.read(count)
            checksum = hashlib.new(self._checksum, body, usedforsecurity=False).digest()
            headers["Upload-Checksum"] = f"{self._checksum} {base64.b64encode(checksum).decode()}"
        self._source.require_unchanged()
        answered = self._patch(headers, count, body)
        return self._finished(answered) if count == missing else None

    def _request_headers(self, offset: int) -> dict[str, str]:
        return {"Content-Type": UPLOAD_TYPE, "Upload-Offset": str(offset)}

    def _patch(self, headers: dict[str, str], count: int, body: Any) -> Mapping[str, str]:
        assert self._upload is not None
        expected = int(headers["Upload-Offset"]) + count
        headers["Content-Length"] = str(count)
        with self._stream(
            "PATCH", self._upload, headers, body=body, accept=frozenset({_OFFSET_MOVED, *_GONE})
        ) as answer:
            if answer.status in {_OFFSET_MOVED, *_GONE} or _offset(answer, self._what) != expected:
                raise _Moved(f"the upload of {self._what} stands somewhere else than at {expected}")
            fields = _lowered(answer)
        self._confirmed = expected
        self._retries.progressed()
        self._source.confirm()
        self._report()
        return fields

    def _finished(self, headers: Mapping[str, str]) -> TusResult:
        sent, stated = self._source.digest(), self._stated_digest(headers)
        if stated not in {None, sent}:
            raise ChecksumMismatch(
                f"storing {self._what}: the server has {stated} ({self._source.algorithm}), {sent} was sent"
            )
        self._journal.remove()
        self._report()
        if self._source.algorithm == SHA256:
            return TusResult(sha256=sent, xxh3=None, etag=strong_etag(headers))
        # What the server says of SHA-256 is about these very bytes, since it has the same quick digest.
        sha256 = read_digest(headers.get("repr-digest")) if stated else None
        return TusResult(sha256=sha256, xxh3=sent, etag=strong_etag(headers))

    def _stated_digest(self, headers: Mapping[str, str]) -> str | None:
        """Give what an answer says of the whole, in the kind of digest that is computed here."""
        algorithm = self._source.algorithm
        return read_digest(headers.get(DIGEST_FIELDS[algorithm].lower()), algorithm)

    def _reporting(self, blocks: Any) -> Any:
        for block in blocks:
            yield block
            self._report()

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(self._source.position, self._source.size)

    def _stream(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        body: Any = None,
        accept: frozenset[int] = frozenset(),
    ) -> Any:
        self._own = {} if self._bearer is None else self._bearer.headers
        fields = {**self._headers, **self._own, **headers}
        if self._elsewhere is not None:
            fields[TAKES_REDIRECTS] = "?1"
        return self._transport.stream(
            method, path, doing=f"store {self._what}", headers=fields, body=body, accept=accept
        )


def _offset(answer: AnswerStream, what: str) -> int:
    offset = read_digits(answer.headers.get("upload-offset"))
    if offset is None:
        raise ProtocolViolation(f"storing {what}: the answer does not state the offset; is this a tus server?")
    return offset


def _lowered(answer: AnswerStream) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}
