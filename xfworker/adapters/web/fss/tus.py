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

from xfworker.adapters.web.fss.receiving import receive_body
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
_log = structlog.stdlib.get_logger("xfworker.fss")


@define
class TusUploads:
    """The requests below ``uploads``."""

    _uploads: ResumableUploads[Any, Any]
    _held_rights: Callable[[AuthorizationToken], AbstractContextManager[None]]
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

    async def answer(self, request: Request, token: AuthorizationToken) -> None:
        """Answer any other request of the protocol."""
        if request.headers.get("tus-resumable") != TUS_HEADERS["Tus-Resumable"]:
            raise _Refused(HTTPStatus.PRECONDITION_FAILED, "this server speaks tus 1.0.0 (Tus-Resumable: 1.0.0)")
        method = request.method
        if method == "POST":
            method = request.headers.get("x-http-method-override", method).upper()
        below = tuple(part for part in request.segments[1:] if part)
        if method == "POST" and not below:
            await self._create(request, token)
            return
        handler = {"HEAD": self._answer_offset, "PATCH": self._append, "DELETE": self._terminate}.get(method)
        if handler is None or len(below) != 1:
            raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"an upload takes HEAD, PATCH and DELETE, not {method}")
        await self._in_turn(below[0], lambda: handler(request, token, below[0]))

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

    async def _create(self, request: Request, token: AuthorizationToken) -> None:
        size = request.integer("upload-length")
        if size is None:
            raise UsageError("an upload begins with its size: Upload-Length")
        encoded = request.headers.get("upload-metadata", "")
        metadata = read_metadata(encoded)
        resource = _resource_of(metadata, token)
        token.require("write", resource)
        sha256 = metadata.get("sha256") or require_digest(request.headers.get("repr-digest"))
        upload = await asyncio.to_thread(
            self._uploads.create, resource, size, metadata=encoded, sha256=sha256.lower() if sha256 else None
        )
        headers = {
            # Relative to the request, so that it holds behind a reverse proxy that adds a prefix as well.
            "Location": upload.identifier if request.segments[-1] == "" else f"uploads/{upload.identifier}",
            "Upload-Offset": "0",
            "XF-Prefix-Digest": _PREFIX_DIGESTS,
            **self._expiry(upload),
        }
        if size == 0:
            incoming = await asyncio.to_thread(self._uploads.open, upload)
            permit = partial(self._held_rights, token)
            stat = await asyncio.to_thread(self._finish, upload, incoming, Digests(upload.sha256), permit)
            headers |= _published(stat)
        await request.answer(HTTPStatus.CREATED, {**TUS_HEADERS, **headers})

    # --- one upload -----------------------------------------------------------------------------------------------

    async def _load(self, identifier: str, token: AuthorizationToken) -> ResumableUpload:
        upload: ResumableUpload = await asyncio.to_thread(self._uploads.load, identifier)
        token.require("write", upload.resource)
        return upload

    async def _answer_offset(self, request: Request, token: AuthorizationToken, identifier: str) -> None:
        upload = await self._load(identifier, token)
        headers = {
            "Upload-Offset": str(await asyncio.to_thread(lambda: upload.offset)),
            "Upload-Length": str(upload.size),
            "Cache-Control": "no-store",
            **self._expiry(upload),
        }
        if upload.metadata:
            headers["Upload-Metadata"] = upload.metadata
        if upload.completed is not None:
            headers |= _published(upload.completed)
        await request.answer(HTTPStatus.OK, {**TUS_HEADERS, **headers})

    async def _terminate(self, request: Request, token: AuthorizationToken, identifier: str) -> None:
        upload = await self._load(identifier, token)
        await asyncio.to_thread(self._uploads.remove, upload)
        await request.answer(HTTPStatus.NO_CONTENT, TUS_HEADERS)

    async def _append(self, request: Request, token: AuthorizationToken, identifier: str) -> None:
        upload = await self._load(identifier, token)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != UPLOAD_TYPE:
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body of an upload is of type {UPLOAD_TYPE}")
        stated, offset = request.integer("upload-offset"), upload.offset
        if stated != offset:
            raise _Refused(HTTPStatus.CONFLICT, f"the upload stands at {offset}, not at {stated}")
        if upload.completed is not None:
            await request.answer(HTTPStatus.NO_CONTENT, self._progress(upload, offset, upload.completed))
            return
        check = _RequestChecksum.read(request.headers.get("upload-checksum"))
        incoming = await _undisturbed(lambda: self._open(request, upload))
        is_full = False
        try:
            await receive_body(request, _Both(incoming, check), limit=upload.size - offset)
        except NotEnoughSpace:
            is_full = True
            raise
        finally:
            # Also after a cut, and after this request was ended by a newer one.
            arrived = await _undisturbed(lambda: self._uploads.keep(upload, incoming))
            if is_full:
                await _undisturbed(lambda: self._uploads.remove(upload))  # what arrived would keep the disk full
            elif check is not None and not await _undisturbed(check.is_met):
                await _undisturbed(lambda: self._uploads.roll_back(upload, offset))
        if check is not None and not check.is_met():
            raise ChecksumMismatch(f"the bytes of {upload.resource} from {offset} on did not arrive as they were sent")
        stat = None
        if arrived == upload.size:
            incoming = await asyncio.to_thread(self._uploads.open, upload)
            expected = Digests(
                require_digest(request.headers.get("repr-digest")) or upload.sha256,
                require_digest(request.headers.get("xf-quick-digest"), XXH3),
            )
            stat = await asyncio.to_thread(self._finish, upload, incoming, expected, partial(self._held_rights, token))
        await request.answer(HTTPStatus.NO_CONTENT, self._progress(upload, arrived, stat))

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

    def _progress(self, upload: ResumableUpload, offset: int, stat: FileStat | None) -> dict[str, str]:
        return {
            **TUS_HEADERS,
            "Upload-Offset": str(offset),
            **self._expiry(upload),
            **({} if stat is None else _published(stat)),
        }

    def _expiry(self, upload: ResumableUpload) -> dict[str, str]:
        moment = self._uploads.expires_at(upload).replace(microsecond=0)
        return {"Upload-Expires": format_datetime(moment, usegmt=True)}

    # --- maintenance ----------------------------------------------------------------------------------------------

    def sweep_now_and_then(self) -> None:
        """Delete expired uploads in the background, when it is time."""
        if not self._uploads.sweep_is_due():
            return

        async def sweep() -> None:
            swept = await asyncio.to_thread(self._uploads.sweep)
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
class _Both:
    """Writes a block and adds it to the request's checksum."""

    _incoming: IncomingFile
    _check: _RequestChecksum | None

    def write(self, *blocks: bytes) -> None:
        self._incoming.write(*blocks)
        if self._check is not None:
            for block in blocks:
                self._check.update(block)


async def _undisturbed(work: Callable[[], Any]) -> Any:
    """Finish a piece of work in another thread even where this request is ended meanwhile."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
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
