"""
The tus 1.0 protocol (tus.io): uploads in several requests, resumed where they broke off.

Extensions: creation, expiration, checksum, termination. On top of it a client may say with each request what the digest
of everything before it is (``XF-Prefix-Digest``), and with the last one the digest of the whole (``Repr-Digest``, or
``XF-Quick-Digest``), so that both sides hash every byte once.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from typing import Any

import structlog
from attrs import define, field

from xfworker.adapters.web.fss.file_threads import in_file_thread
from xfworker.adapters.web.fss.pieces import piece_headers, piece_url, put_together
from xfworker.adapters.web.fss.receiving import BodiesUnderWay
from xfworker.adapters.web.fss.requests import ClientGone, Request
from xfworker.adapters.wire.file_headers import content_headers
from xfworker.adapters.wire.tus import TUS_HEADERS, UPLOAD_TYPE, read_metadata
from xfworker.domain.digest_field import SHA256, XXH3, require_digest
from xfworker.domain.digests import Digests
from xfworker.domain.errors import ChecksumMismatch, NotEnoughSpace, UsageError
from xfworker.domain.files import AuthorizationToken, FileStat, Resource, parse_resource
from xfworker.ports.served_files import IncomingFile, Permit, ResumableUpload, ResumableUploads

_PREFIX_DIGESTS = f"{SHA256}, {XXH3}"
_ALGORITHMS = ("sha1", "sha256", "md5")
_PIECE_SEGMENTS = 2
"""``uploads/<id>/<offset>``."""
_Handler = Callable[[Request, Callable[[], AuthorizationToken], str], Awaitable[None]]
_log = structlog.stdlib.get_logger("xfworker.fss")


@define
class TusUploads:
    """The requests below ``uploads``."""

    _uploads: ResumableUploads[Any, Any]
    _held_rights: Callable[[AuthorizationToken], AbstractContextManager[None]]
    _receiving: BodiesUnderWay
    _turns: dict[str, "asyncio.Task[None]"] = field(factory=dict, init=False)
    _sweeping: "asyncio.Task[None] | None" = field(default=None, init=False)

    async def answer_options(self, request: Request) -> None:
        await request.answer(
            HTTPStatus.NO_CONTENT,
            {
                **TUS_HEADERS,
                "Tus-Version": "1.0.0",
                "Tus-Extension": "creation,expiration,checksum,termination",
                "Tus-Checksum-Algorithm": ",".join(_ALGORITHMS),
                "XF-Prefix-Digest": _PREFIX_DIGESTS,
            },
        )

    async def answer(self, request: Request, verify: Callable[[], AuthorizationToken]) -> None:
        """Answer any other request of the protocol."""
        try:
            handler, identifier = self._chosen(request)
        except _Refused:
            await in_file_thread(verify)  # who may not ask at all learns nothing else
            raise
        if identifier is None:
            await handler(request, verify, "")
        else:
            await self._in_turn(identifier, lambda: handler(request, verify, identifier))

    def _chosen(self, request: Request) -> "tuple[_Handler, str | None]":
        """Give what answers a request, and which upload that is about."""
        if request.headers.get("tus-resumable") != TUS_HEADERS["Tus-Resumable"]:
            raise _Refused(HTTPStatus.PRECONDITION_FAILED, "this server speaks tus 1.0.0 (Tus-Resumable: 1.0.0)")
        method = request.method
        if method == "POST":
            method = request.headers.get("x-http-method-override", method).upper()
        below = tuple(part for part in request.segments[1:] if part)
        if method == "POST" and not below:
            return self._create, None
        if method == "PUT" and len(below) == _PIECE_SEGMENTS:
            return self._send_elsewhere, None
        handlers: dict[str, _Handler] = {
            "HEAD": self._answer_offset,
            "PATCH": self._append,
            "DELETE": self._terminate,
        }
        if method not in handlers or len(below) != 1:
            raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"an upload takes HEAD, PATCH and DELETE, not {method}")
        return handlers[method], below[0]

    async def _in_turn(self, identifier: str, work: Callable[[], Awaitable[None]]) -> None:
        """
        Answer one request about an upload at a time; a newer one ends an older one.

        After a cut link the older one still waits for bytes that will never come, while the client asks where to go on.
        """
        previous = self._turns.get(identifier)

        async def turn() -> None:
            if previous is not None and not previous.done():
                previous.cancel()
                await asyncio.wait({previous})
            await work()

        task = self._turns[identifier] = asyncio.ensure_future(turn())
        try:
            await task
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            raise ClientGone from None
        finally:
            if self._turns.get(identifier) is task:
                del self._turns[identifier]

    # --- creation -------------------------------------------------------------------------------------------------

    async def _create(self, request: Request, verify: Callable[[], AuthorizationToken], _: str) -> None:
        upload, stat = await in_file_thread(self._created, request, verify)
        headers = {
            # Relative to the request, so that it holds behind a reverse proxy that adds a prefix as well.
            "Location": upload.identifier if request.segments[-1] == "" else f"uploads/{upload.identifier}",
            "Upload-Offset": "0",
            "XF-Prefix-Digest": _PREFIX_DIGESTS,
            **self._expiry(upload),
            **piece_headers(request, self._uploads, upload),
            **({} if stat is None else _published(stat)),
        }
        await request.answer(HTTPStatus.CREATED, {**TUS_HEADERS, **headers})

    def _created(
        self, request: Request, verify: Callable[[], AuthorizationToken]
    ) -> tuple[ResumableUpload, FileStat | None]:
        """Begin an upload; an empty file is complete at once."""
        token = verify()
        size = request.integer("upload-length")
        if size is None:
            raise UsageError("an upload begins with its size: Upload-Length")
        encoded = request.headers.get("upload-metadata", "")
        metadata = read_metadata(encoded)
        resource = _resource_of(metadata, token)
        token.require("write", resource)
        sha256 = metadata.get("sha256") or require_digest(request.headers.get("repr-digest"))
        upload: ResumableUpload = self._uploads.create(
            resource, size, metadata=encoded, sha256=sha256.lower() if sha256 else None
        )
        if size:
            return upload, None
        permit = partial(self._held_rights, token)
        return upload, self._finish(upload, self._uploads.open(upload), Digests(upload.sha256), permit)

    # --- one upload -----------------------------------------------------------------------------------------------

    def _load(self, identifier: str, verify: Callable[[], AuthorizationToken]) -> ResumableUpload:
        token = verify()
        upload: ResumableUpload = self._uploads.load(identifier)
        token.require("write", upload.resource)
        return upload

    async def _answer_offset(self, request: Request, verify: Callable[[], AuthorizationToken], identifier: str) -> None:
        def look() -> tuple[ResumableUpload, int]:
            upload = self._load(identifier, verify)
            return upload, upload.offset

        upload, offset = await in_file_thread(look)
        headers = {
            "Upload-Offset": str(offset),
            "Upload-Length": str(upload.size),
            "Cache-Control": "no-store",
            **self._expiry(upload),
            **piece_headers(request, self._uploads, upload),
        }
        if upload.metadata:
            headers["Upload-Metadata"] = upload.metadata
        if upload.completed is not None:
            headers |= _published(upload.completed)
        await request.answer(HTTPStatus.OK, {**TUS_HEADERS, **headers})

    async def _terminate(self, request: Request, verify: Callable[[], AuthorizationToken], identifier: str) -> None:
        await in_file_thread(lambda: self._uploads.remove(self._load(identifier, verify)))
        await request.answer(HTTPStatus.NO_CONTENT, TUS_HEADERS)

    async def _append(self, request: Request, verify: Callable[[], AuthorizationToken], identifier: str) -> None:
        part = await _undisturbed(lambda: self._begin(request, verify, identifier))
        upload = part.upload
        arrived, stat = part.offset, upload.completed
        if part.incoming is not None:
            try:
                await self._receiving.receive(request, part, limit=upload.size - part.offset)
            except BaseException as error:  # also after a cut, and after this request was ended by a newer one
                is_full = isinstance(error, NotEnoughSpace)
                await _undisturbed(lambda: self._break_off(part, is_full=is_full))
                raise
            arrived, stat = await _undisturbed(lambda: self._take(request, part))
        headers = {**TUS_HEADERS, "Upload-Offset": str(arrived), **self._expiry(upload)}
        await request.answer(HTTPStatus.NO_CONTENT, headers | ({} if stat is None else _published(stat)))

    def _begin(self, request: Request, verify: Callable[[], AuthorizationToken], identifier: str) -> "_Part":
        """Check what the request's head says, and open the upload unless it is complete."""
        token = verify()
        upload = self._load(identifier, lambda: token)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != UPLOAD_TYPE:
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body of an upload is of type {UPLOAD_TYPE}")
        stated, offset = request.integer("upload-offset"), upload.offset
        if stated != offset:
            raise _Refused(HTTPStatus.CONFLICT, f"the upload stands at {offset}, not at {stated}")
        if upload.completed is not None:
            return _Part(token, upload, offset)
        permit = partial(self._held_rights, token)
        if offset == upload.size and put_together(request, self._uploads, upload, permit):
            _log.info("xfworker.upload_put_together", file=str(upload.resource), bytes=upload.size)
            return _Part(token, upload, offset)
        check = _RequestChecksum.read(request.headers.get("upload-checksum"))
        return _Part(token, upload, offset, self._open(request, upload), check)

    def _break_off(self, part: "_Part", *, is_full: bool) -> None:
        """Keep what arrived of a body that did not arrive whole."""
        self._uploads.keep(part.upload, part.incoming)
        if is_full:
            self._uploads.remove(part.upload)  # what arrived would keep the disk full
        elif part.check is not None and not part.check.is_met():
            self._uploads.roll_back(part.upload, part.offset)

    def _take(self, request: Request, part: "_Part") -> tuple[int, FileStat | None]:
        """Keep a body that arrived; where it was the last one, publish the file."""
        upload = part.upload
        arrived: int = self._uploads.keep(upload, part.incoming)
        if part.check is not None and not part.check.is_met():
            self._uploads.roll_back(upload, part.offset)
            raise ChecksumMismatch(
                f"the bytes of {upload.resource} from {part.offset} on did not arrive as they were sent"
            )
        if arrived < upload.size:
            return arrived, None
        expected = Digests(
            require_digest(request.headers.get("repr-digest")) or upload.sha256,
            require_digest(request.headers.get("xf-quick-digest"), XXH3),
        )
        permit = partial(self._held_rights, part.token)
        return arrived, self._finish(upload, self._uploads.open(upload), expected, permit)

    async def _send_elsewhere(self, request: Request, verify: Callable[[], AuthorizationToken], _: str) -> None:
        """Answer ``PUT`` of a piece with where to put it."""
        identifier, begin = (part for part in request.segments[1:] if part)
        url = await in_file_thread(lambda: piece_url(request, self._uploads, self._load(identifier, verify), begin))
        if url is None:
            raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, "pieces of this upload are sent by PATCH")
        # The address is as good as a token for this one piece, so nobody may keep it.
        headers = {**TUS_HEADERS, "Location": url, "Cache-Control": "no-store"}
        await request.answer(HTTPStatus.TEMPORARY_REDIRECT, headers)

    def _open(self, request: Request, upload: ResumableUpload) -> IncomingFile:
        field = request.headers.get("xf-prefix-digest")
        expected = Digests(require_digest(field), require_digest(field, XXH3))
        incoming: IncomingFile = self._uploads.open(upload)
        if expected == Digests():
            return incoming
        if incoming.digests(sha256=expected.sha256 is not None).fit(expected):
            self._uploads.mark_verified(upload, incoming)
            return incoming
        self._uploads.keep(upload, incoming)
        self._uploads.roll_back(upload, upload.verified)
        raise ChecksumMismatch(
            f"the first bytes of {upload.resource} did not arrive as they were sent; go on from {upload.verified}"
        )

    def _finish(self, upload: ResumableUpload, incoming: IncomingFile, expected: Digests, permit: Permit) -> FileStat:
        digests = incoming.digests(sha256=expected.sha256 is not None)
        if not digests.fit(expected):
            self._uploads.keep(upload, incoming)
            self._uploads.roll_back(upload, upload.verified)
            raise ChecksumMismatch(
                f"{upload.resource} did not arrive as it was sent: {digests} arrived, {expected} was expected; go on "
                f"from {upload.verified}"
            )
        stat = self._uploads.complete(upload, incoming, digests, permit)
        _log.info("xfworker.upload_received", file=str(upload.resource), bytes=upload.size, xxh3=digests.xxh3)
        return stat

    def _expiry(self, upload: ResumableUpload) -> dict[str, str]:
        moment = self._uploads.expires_at(upload).replace(microsecond=0)
        return {"Upload-Expires": format_datetime(moment, usegmt=True)}

    # --- maintenance ----------------------------------------------------------------------------------------------

    def sweep_now_and_then(self) -> None:
        """Delete expired uploads in the background, when it is time."""
        if not self._uploads.sweep_is_due():
            return

        async def sweep() -> None:
            swept = await in_file_thread(self._uploads.sweep)
            if swept:
                _log.info("xfworker.partial_uploads_swept", count=swept)

        self._sweeping = asyncio.ensure_future(sweep())


class _Refused(UsageError):
    """A request that the protocol forbids, with the status that it asks for."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = int(status)  # type: ignore[misc]  # the class's own status is only the default


@define
class _RequestChecksum:
    """The checksum over the body of one request (tus extension ``checksum``)."""

    _expected: bytes
    _hash: Any

    @classmethod
    def read(cls, header: str | None) -> "_RequestChecksum | None":
        if header is None:
            return None
        name, _, value = header.partition(" ")
        if name not in _ALGORITHMS:
            raise UsageError(f"checksums here are {', '.join(_ALGORITHMS)}, not {name[:40]!a}")
        try:
            checksum = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise UsageError("Upload-Checksum is an algorithm, a space and the checksum in base64") from None
        return cls(checksum, hashlib.new(name, usedforsecurity=False))

    def update(self, block: bytes) -> None:
        self._hash.update(block)

    def is_met(self) -> bool:
        return bool(self._hash.digest() == self._expected)


@define
class _Part:
    """
    The body of one request: writes its blocks, and adds them to its checksum.

    Attributes:
        token: What the request may do.
        upload: The upload.
        offset: Where the body begins.
        incoming: The file, unless the upload was complete already.
        check: The checksum, where the client sent one.
    """

    token: AuthorizationToken
    upload: ResumableUpload
    offset: int
    incoming: IncomingFile | None = None
    check: _RequestChecksum | None = None

    def write(self, *blocks: bytes) -> None:
        assert self.incoming is not None
        self.incoming.write(*blocks)
        if self.check is not None:
            for block in blocks:
                self.check.update(block)


async def _undisturbed(work: Callable[[], Any]) -> Any:
    """Finish a piece of work in another thread even where this request is ended meanwhile."""
    task = asyncio.ensure_future(in_file_thread(work))
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue
    return task.result()


def _published(stat: FileStat) -> dict[str, str]:
    return {"XF-Upload-Complete": "?1", **content_headers(stat)}


def _resource_of(metadata: Mapping[str, str], token: AuthorizationToken) -> Resource:
    if metadata.get("resource"):
        return parse_resource(metadata["resource"])
    name = metadata.get("filename") or metadata.get("name")
    if name is None:
        return token.resource("write")
    resource = token.resource("write")
    # Foreign clients know a file's name only; the token says which folder, or which file, it is for.
    return resource if resource.filename == name else resource.child(name)
