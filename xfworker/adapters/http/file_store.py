"""The file storage service over HTTP, as a file store."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.http.answer_stream import AnswerStream
from xfworker.adapters.http.download import Download
from xfworker.adapters.http.file_addresses import file_path, quoted
from xfworker.adapters.http.file_bearer import FileBearer
from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.network_options import ProxyOptions, TlsOptions
from xfworker.adapters.http.transport import HttpAnswer, HttpTransport
from xfworker.adapters.http.tus_upload import TusUpload
from xfworker.adapters.transfer import journal
from xfworker.adapters.transfer.kept_buffers import KeptBuffers
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.adapters.transfer.retries import transfer_retries
from xfworker.adapters.transfer.upload_source import UploadSource
from xfworker.adapters.wire.byte_range import write_range
from xfworker.adapters.wire.codec import read_answer, unexpected_answer, write
from xfworker.adapters.wire.digits import read_digits
from xfworker.adapters.wire.file_headers import digest_headers, stat_from_headers
from xfworker.adapters.wire.files import FileEntry, Listing, Registration
from xfworker.domain.address import Address
from xfworker.domain.digest_field import XXH3
from xfworker.domain.digests import Digests
from xfworker.domain.errors import AuthenticationFailed, ChecksumMismatch, FileError, ProtocolViolation, ServerError
from xfworker.domain.files import AuthorizationToken, FileStat, Folder, Resource
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import Progress
from xfworker.services.retry_policy import Retries

_SMALL_ANSWER = 64 * 1024
_PIECE = 256 * 1024
_MOST_BEARERS = 256
_HASHED_PER_SECOND = 20 << 20
"""How slow a server's disk may be that has to read a file before it can answer."""


class HttpFileStore:
    """
    Files on the servers that tokens name, over kept-alive connections. Safe to use from several threads.

    What a token allows is the server's decision; here it is only passed on.
    """

    def __init__(
        self,
        *,
        limits: HttpLimits | None = None,
        transfers: TransferLimits | None = None,
        tls: TlsOptions | None = None,
        proxy: ProxyOptions | None = None,
        allow_plain_http: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """
        Prepare; nothing is connected yet.

        Args:
            limits: Time limits and repeats.
            transfers: How transfers are cut into pieces.
            tls: How servers are trusted.
            proxy: By which proxy they are reached.
            allow_plain_http: Whether ``http`` may go further than this computer.
            clock: Waits between attempts.
        """
        self._limits = limits or HttpLimits()
        self._transfers = transfers or TransferLimits()
        self._tls, self._proxy = tls, proxy
        self._allow_plain_http = allow_plain_http
        self._clock: Clock = clock or SystemClock()
        self._transports: dict[str, HttpTransport] = {}
        self._bearers: dict[str, FileBearer] = {}
        self._swept: set[str] = set()
        self._buffers = KeptBuffers()
        self._quick: set[str] = set()
        self._addresses: dict[str, Address] = {}
        self._lock = threading.Lock()

    def stat(self, token: AuthorizationToken, resource: Resource) -> FileStat:
        answer = self._ask(token, "HEAD", file_path(resource), f"look at {resource}")
        size = read_digits(answer.headers.get("content-length"))
        if size is None:
            raise ProtocolViolation(f"looking at {resource}: the answer does not state the file's size")
        return stat_from_headers(resource, answer.headers, size)

    def download(
        self, token: AuthorizationToken, resource: Resource, target: Path, *, progress: Progress | None = None
    ) -> FileStat:
        transport, base = self._server(token)
        self._sweep(target.parent)
        return Download(
            transport,
            base + file_path(resource),
            resource,
            target,
            limits=self._transfers,
            retries=self._retries(f"fetching {resource}"),
            bearer=self._bearer(token),
            progress=progress,
            elsewhere=self._elsewhere,
            buffers=self._buffers,
        ).run()

    def _elsewhere(self, url: str) -> tuple[HttpTransport, str]:
        """Give the connection to an object store, and the path there, of an address that a server gave."""
        transport, _ = self._server_at(Address.read(url).origin)
        parts = urlsplit(url)
        return transport, f"{parts.path}?{parts.query}"

    def upload(
        self, token: AuthorizationToken, source: Path, resource: Resource, *, progress: Progress | None = None
    ) -> FileStat:
        limits = self._transfers
        file = UploadSource(source, block_bytes=limits.block_bytes, blocks=limits.blocks, algorithm=XXH3)
        try:
            if file.size > limits.single_put_bytes:
                return self._send(token, file, resource, progress)
            with self._buffers.of_size(file.size) as content:
                return self._put(token, file, file.read_into(content), resource, progress)
        finally:
            file.close()

    def _put(
        self,
        token: AuthorizationToken,
        file: UploadSource,
        content: memoryview,
        resource: Resource,
        progress: Progress | None,
    ) -> FileStat:
        transport, base = self._server(token)
        file.require_unchanged()
        # Until a server has shown that it checks by the quick digest, it gets the other one as well.
        is_quick = transport.url in self._quick
        sent = Digests(None if is_quick else hashlib.sha256(content).hexdigest(), file.digest())
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(file.size),
            **digest_headers(sent),
        }
        # The limit for sending counts per piece.
        pieces = [content[at : at + _PIECE] for at in range(0, file.size, _PIECE)]
        retries = self._retries(f"storing {resource}")
        bearer, renewed = self._bearer(token), False
        while True:
            own = bearer.headers
            try:
                with transport.stream(
                    "PUT", base + file_path(resource), doing=f"store {resource}", body=pieces, headers=headers | own
                ) as answer:
                    answer.read(_SMALL_ANSWER)
                    stat = _confirmed(stat_from_headers(resource, answer.headers, file.size), sent)
                break
            except ChecksumMismatch as damaged:
                retries.start_over(damaged)
            except ServerError as error:
                retries.wait(error)
            except AuthenticationFailed as ended:
                if renewed:
                    raise
                bearer.renew(own, ended)
                renewed = True
        if stat.xxh3 is not None:
            self._quick.add(transport.url)
        if progress is not None:
            progress(file.size, file.size)
        return evolve(stat, xxh3=sent.xxh3)

    def _send(
        self, token: AuthorizationToken, file: UploadSource, resource: Resource, progress: Progress | None
    ) -> FileStat:
        transport, base = self._server(token)
        result = TusUpload(
            transport,
            f"{base}/uploads",
            file,
            what=str(resource),
            metadata={"resource": str(resource)},
            bearer=self._bearer(token),
            limits=self._transfers,
            retries=self._retries(f"storing {resource}"),
            progress=progress,
            elsewhere=self._elsewhere,
        ).run()
        return FileStat(resource=resource, size=file.size, sha256=result.sha256, xxh3=result.xxh3, etag=result.etag)

    def open_read(
        self, token: AuthorizationToken, resource: Resource, *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        transport, base = self._server(token)
        block_bytes = self._transfers.block_bytes
        headers = {"Accept": "*/*"}
        if offset or length is not None:
            headers["Range"] = write_range(offset, None if length is None else offset + length)
        if length == 0:
            self.stat(token, resource)
            return iter(())
        opened = ExitStack()

        def opening(own: dict[str, str]) -> AnswerStream:
            path, fields = base + file_path(resource), headers | own
            return opened.enter_context(
                transport.stream("GET", path, doing=f"read {resource}", headers=fields, accept=frozenset({416}))
            )

        answer = self._bearer(token).ask(opening)

        def blocks() -> Iterator[bytes]:
            with opened:
                if answer.status == 416:  # noqa: PLR2004  the range begins behind the end
                    return
                view = memoryview(bytearray(block_bytes))
                while count := answer.read_into(view):
                    yield bytes(view[:count])
                    if answer.received == answer.length:
                        return

        return blocks()

    def direct_access_path(
        self, token: AuthorizationToken, resource: Resource, *, for_writing: bool = False
    ) -> str | None:
        if not for_writing:
            return self.stat(token, resource).direct_access_path
        doing = f"ask where {resource} may be written"
        answer = self._ask(token, "HEAD", f"{file_path(resource)}?for=write", doing)
        return stat_from_headers(resource, answer.headers, 0).direct_access_path

    def register(self, token: AuthorizationToken, resource: Resource, *, size: int, sha256: str) -> FileStat:
        doing = f"register {resource}"
        body = write(Registration(resource=str(resource), size=size, sha256=sha256))
        seconds = self._limits.read_seconds + size / _HASHED_PER_SECOND
        answer = self._ask(token, "POST", "/registrations", doing, json_body=body, repeat=True, read_seconds=seconds)
        return read_answer(FileEntry, answer.json(), doing).stat()

    def list(self, token: AuthorizationToken, folder: Resource) -> Folder:
        doing = f"list {folder}"
        answer = self._ask(token, "GET", f"/folders/{quoted(folder)}", doing)
        try:
            listed = read_answer(Listing, answer.json(), doing).folder()
        except FileError as error:
            raise unexpected_answer(doing, error) from None
        for stat in listed.files:
            if stat.resource.segments[:-1] != folder.segments:
                raise unexpected_answer(doing, f"{stat.resource} is not in that folder")
        return listed

    def delete(self, token: AuthorizationToken, resource: Resource) -> None:
        self._ask(token, "DELETE", file_path(resource), f"delete {resource}", repeat=False)

    def close(self) -> None:
        with self._lock:
            for transport in self._transports.values():
                transport.close()
            self._transports.clear()

    def _server(self, token: AuthorizationToken) -> tuple[HttpTransport, str]:
        """Give the connection to the server that the token names, and the service's base path there."""
        return self._server_at(token.url)

    def _server_at(self, url: str) -> tuple[HttpTransport, str]:
        with self._lock:
            address = self._addresses.get(url)
            if address is None:
                address = self._addresses[url] = Address.read(url)
            origin = address.origin
            transport = self._transports.get(origin)
            if transport is None:
                transport = self._transports[origin] = HttpTransport(
                    origin,
                    limits=self._limits,
                    tls=self._tls,
                    proxy=self._proxy,
                    allow_plain_http=self._allow_plain_http,
                    clock=self._clock,
                )
        return transport, address.path

    def _ask(self, token: AuthorizationToken, method: str, path: str, doing: str, **options: Any) -> HttpAnswer:
        transport, base = self._server(token)
        return self._bearer(token).ask(
            lambda own: transport.request(method, base + path, doing=doing, headers=own, **options)
        )

    def _bearer(self, token: AuthorizationToken) -> FileBearer:
        """Give what stands for a token: the same for all transfers under it, as one that was renewed is so for all."""
        with self._lock:
            bearer = self._bearers.setdefault(token.token, FileBearer(token))
            while len(self._bearers) > _MOST_BEARERS:
                del self._bearers[next(iter(self._bearers))]
        return bearer

    def _sweep(self, folder: Path) -> None:
        """Delete what downloads to a folder left long ago; looked for once per folder, as it may hold many files."""
        name = str(folder)  # which a path keeps; its hash it computes anew
        with self._lock:
            if name in self._swept:
                return
            self._swept.add(name)
        journal.sweep(folder)

    def _retries(self, what: str) -> Retries:
        return transfer_retries(
            self._clock,
            self._transfers,
            what,
            backoff_seconds=self._limits.backoff_seconds,
            throttled_seconds=self._limits.patience_seconds,
        )


def _confirmed(stat: FileStat, sent: Digests) -> FileStat:
    stated = Digests(stat.sha256, stat.xxh3)
    if not stated.agree(sent):
        raise ChecksumMismatch(f"storing {stat.resource}: the server has {stated}, {sent} was sent")
    return evolve(stat, sha256=stat.sha256 or sent.sha256, direct_access_path=None, sample_sha256=None)
