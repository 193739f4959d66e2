"""The file storage service as an ASGI application, to be mounted under its base path."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

import structlog
from litestar.handlers import ASGIRouteHandler
from litestar.handlers import asgi as asgi_handler

from xfworker.adapters.web.fss.file_threads import in_file_thread
from xfworker.adapters.web.fss.reading import BlocksUnderWay, KeptHandles, send_file, send_folder
from xfworker.adapters.web.fss.receiving import BodiesUnderWay
from xfworker.adapters.web.fss.requests import (
    ClientGone,
    Receive,
    Request,
    Scope,
    Send,
    read_request,
)
from xfworker.adapters.web.fss.tus import TusUploads
from xfworker.adapters.wire.codec import read, write
from xfworker.adapters.wire.file_headers import content_headers
from xfworker.adapters.wire.files import FileEntry, Registration
from xfworker.adapters.wire.tus import TUS_HEADERS
from xfworker.domain.digest_field import XXH3, require_digest, wants_digest
from xfworker.domain.digests import Digests
from xfworker.domain.errors import AuthenticationFailed, FileError, InvalidRecord, UsageError, XFWorkerError
from xfworker.domain.files import AuthorizationToken, FileStat, Resource, parse_resource
from xfworker.ports.served_files import IncomingFile, ResumableUploads, ServedFiles

MOUNT = "/fss/v1"
"""The service's base path."""

_RECEIVED_AT_ONCE = 1 << 20
"""Files up to this size are stored when all of them has arrived."""
_SMALL_JSON = 64 * 1024
_DRAIN_SECONDS = 5.0
_DRAINED = 80 << 20
"""How much of a refused body is still taken, so that the client gets to read why."""

_METHODS = {"files": "DELETE, GET, HEAD, PUT", "folders": "GET", "registrations": "POST"}
"""What each part of the service takes; ``uploads`` answers for itself."""

_log = structlog.stdlib.get_logger("xfworker.fss")


class FileTokenVerifier(Protocol):
    """Knows what a file token allows; the platform does."""

    def verify_file_token(self, token: str) -> AuthorizationToken:
        """
        Give what the token allows.

        Raises:
            AuthenticationFailed: It is malformed, forged or expired, or whoever it was made for is no longer let in.
        """
        ...

    def held_file_rights(self, token: AuthorizationToken) -> AbstractContextManager[None]:
        """Refuse a token whose rights have ended, and let none of them end while the block runs."""
        ...


def fss_handler(service: "FileStorageService") -> ASGIRouteHandler:
    """Give the service as a Litestar route handler for :data:`MOUNT`."""

    async def file_storage_service(scope: Scope, receive: Receive, send: Send) -> None:
        await service(scope, receive, send)

    return asgi_handler(MOUNT, is_mount=True, copy_scope=True)(file_storage_service)


class FileStorageService:
    """
    Files of a store over HTTP, every request under a file token.

    ``files/<resource>``: HEAD, GET, PUT, DELETE. ``folders/<resource>``: GET. ``registrations``: POST.
    ``uploads`` and ``uploads/<id>``: the tus protocol.

    Attributes:
        under_way: How many requests are being answered.
    """

    def __init__(
        self,
        store: ServedFiles,
        uploads: ResumableUploads[Any, Any],
        verifier: FileTokenVerifier,
        *,
        mount: str = MOUNT,
    ) -> None:
        """
        Take the parts.

        Args:
            store: The files.
            uploads: The uploads into the store that take several requests.
            verifier: Checks tokens.
            mount: The path under which the application is mounted.
        """
        self._store = store
        self._verifier = verifier
        self._mount = mount
        self._handles = KeptHandles()
        self._sending = BlocksUnderWay()
        self._receiving = BodiesUnderWay()
        self.under_way = 0
        self._uploads = TusUploads(uploads, verifier.held_file_rights, self._receiving)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = read_request(scope, receive, send, mount=self._mount)
        self.under_way += 1
        try:
            await self._answer(request)
        except ClientGone:
            _log.info("xfworker.client_gone", method=request.method, path="/".join(request.segments))
        except XFWorkerError as error:
            await self._refuse(request, error)
        except Exception:  # noqa: BLE001  an error of ours is logged; the client gets none of its details
            _log.exception("xfworker.request_failed", method=request.method, path="/".join(request.segments))
            await self._refuse(request, FileError("the file store failed; its log says more"), status=500)
        finally:
            self.under_way -= 1
            self._uploads.sweep_now_and_then()

    async def _refuse(self, request: Request, error: XFWorkerError, status: int | None = None) -> None:
        headers = {}
        if status == HTTPStatus.METHOD_NOT_ALLOWED:  # RFC 9110, section 15.5.6, asks for the header
            headers["Allow"] = _METHODS[request.segments[0]]
        if request.segments[0] == "uploads":
            headers |= TUS_HEADERS
        # A client that is still sending would miss the answer behind a broken connection.
        # From anybody, though, not for long.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS if isinstance(error, AuthenticationFailed) else None):
                await request.drain(_DRAINED)
        await request.answer_error(error, headers, status=status)

    async def _answer(self, request: Request) -> None:
        area = request.segments[0]
        if area == "uploads" and request.method == "OPTIONS":
            await self._uploads.answer_options(request)
            return
        verify = partial(self._verifier.verify_file_token, request.token)
        if area == "files" and request.method in {"GET", "HEAD"}:
            await send_file(request, self._store, verify, self._handles, self._sending)
        elif area == "files" and request.method == "PUT":
            await self._put(request, verify)
        elif area == "files" and request.method == "DELETE":
            await in_file_thread(self._delete, verify, request.resource())
            await request.answer(HTTPStatus.NO_CONTENT)
        elif area == "folders" and request.method == "GET":
            await send_folder(request, self._store, verify)
        elif area == "registrations" and request.method == "POST":
            await self._register(request, await in_file_thread(verify))
        elif area == "uploads":
            await self._uploads.answer(request, verify)
        else:
            await in_file_thread(verify)
            error = UsageError(f"the file store has no {request.method} {'/'.join(request.segments)[:200]!a}")
            await self._refuse(request, error, HTTPStatus.METHOD_NOT_ALLOWED if area in _METHODS else None)

    def _delete(self, verify: Callable[[], AuthorizationToken], resource: Resource) -> None:
        token = verify()
        self._store.delete(token, resource, permit=partial(self._verifier.held_file_rights, token))

    async def _put(self, request: Request, verify: Callable[[], AuthorizationToken]) -> None:
        resource = request.resource()
        size = request.integer("content-length")
        wanted = wants_digest(request.headers.get("want-repr-digest"))
        expected = Digests(
            require_digest(request.headers.get("repr-digest") or request.headers.get("content-digest")),
            require_digest(request.headers.get("xf-quick-digest"), XXH3),
        )

        def begin() -> tuple[AuthorizationToken, IncomingFile]:
            token = verify()
            token.require("write", resource)
            return token, self._store.receive(resource, size=size, sha256=wanted or expected.sha256 is not None)

        def publish(token: AuthorizationToken, incoming: IncomingFile) -> FileStat:
            permit = partial(self._verifier.held_file_rights, token)
            return incoming.publish(permit, size=size, expected=expected)

        if size is not None and size <= _RECEIVED_AT_ONCE and "expect" not in request.headers:
            stat = await self._store_small(await request.body(size), begin, publish)
        else:
            token, incoming = await in_file_thread(begin)
            try:
                await self._receiving.receive(request, incoming)
                stat = await in_file_thread(publish, token, incoming)
            except BaseException:
                incoming.discard()
                raise
        await request.answer_json(HTTPStatus.CREATED, write(FileEntry.of_stat(stat)), content_headers(stat))

    @staticmethod
    async def _store_small(
        body: bytes,
        begin: Callable[[], tuple[AuthorizationToken, IncomingFile]],
        publish: Callable[[AuthorizationToken, IncomingFile], FileStat],
    ) -> FileStat:
        """Store a file that has arrived, all in one other thread, because each change of threads takes time."""

        def store() -> FileStat:
            token, incoming = begin()
            try:
                incoming.write(body)
                return publish(token, incoming)
            except BaseException:
                incoming.discard()
                raise

        return await in_file_thread(store)

    async def _register(self, request: Request, token: AuthorizationToken) -> None:
        registration = _read_registration(await request.body(_SMALL_JSON))
        resource = parse_resource(registration.resource)
        stat = await in_file_thread(
            self._store.register,
            token,
            resource,
            size=registration.size,
            sha256=registration.sha256,
            permit=partial(self._verifier.held_file_rights, token),
        )
        await request.answer_json(HTTPStatus.OK, write(FileEntry.of_stat(stat)), content_headers(stat))


def _read_registration(body: bytes) -> Registration:
    try:
        return read(Registration, json.loads(body), "the registration")
    except (ValueError, InvalidRecord) as error:
        raise UsageError(f"a registration is a JSON object {{resource, size, sha256}} ({error})") from None
