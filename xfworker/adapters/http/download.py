"""Fetches one file: resumed where it broke off, over several connections where that gains, verified, then named."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve
from urllib3 import HTTPHeaderDict

from xfworker.adapters.http.answer_stream import AnswerStream
from xfworker.adapters.http.file_bearer import FileBearer
from xfworker.adapters.http.range_helpers import RangeHelpers
from xfworker.adapters.http.reading_pace import ReadingPace
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.transfer.kept_buffers import BUFFER_BYTES, KeptBuffers
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.adapters.transfer.partial_download import PartialDownload
from xfworker.adapters.transfer.spans import Span
from xfworker.adapters.wire.byte_range import parse_content_range, write_range
from xfworker.adapters.wire.file_headers import (
    DIGEST_FIELDS,
    TAKES_REDIRECTS,
    quoted_etag,
    stat_from_headers,
    strong_etag,
)
from xfworker.domain.errors import (
    AuthenticationFailed,
    ChecksumMismatch,
    ConfigurationError,
    FileChanged,
    FileError,
    FileNotInStore,
    NotEnoughSpace,
    PermissionDenied,
    ProtocolViolation,
    ServerError,
)
from xfworker.domain.files import FileStat, Resource
from xfworker.ports.file_store import Progress
from xfworker.services.event_log import EventLog
from xfworker.services.retry_policy import Retries

_PARTIAL, _REDIRECT, _ANOTHER, _UNSATISFIABLE = 206, 307, 412, 416
_ANSWERS = frozenset({_UNSATISFIABLE})

Elsewhere = Callable[[str], tuple[HttpTransport, str]]
"""Gives the connection to another server, and the path there, of an address."""

_log = EventLog("xfworker.transfers")


class Download:
    """One file on its way from a server to a path."""

    def __init__(
        self,
        transport: HttpTransport,
        path: str,
        resource: Resource,
        target: Path,
        *,
        limits: TransferLimits,
        retries: Retries,
        bearer: FileBearer,
        progress: Progress | None = None,
        elsewhere: Elsewhere | None = None,
        buffers: KeptBuffers,
    ) -> None:
        """
        Prepare; nothing is asked or written yet.

        Args:
            transport: The server.
            path: The file's address below the transport's.
            resource: What to call the file.
            target: Where it goes.
            limits: How it is cut into pieces.
            retries: When it goes on after an error.
            bearer: The token of every request.
            progress: Called with bytes done and bytes in all.
            elsewhere: Connects to an object store that the server names, where files may be read from there.
            buffers: Memory for a small file.
        """
        self._buffers = buffers
        self._buffer: memoryview | None = None
        self._elsewhere = elsewhere
        self._transport = transport
        self._path = path
        self._resource = resource
        self._limits = limits
        self._retries = retries
        self._bearer = bearer
        self._progress = progress
        self._part = PartialDownload(str(resource), f"{transport.url}{path}|{target.name}", target, limits)
        self._helpers: RangeHelpers | None = None
        self._ranges_work = False
        self._has_failed = False

    def run(self) -> FileStat:
        """
        Fetch the file.

        Raises:
            FileNotInStore: There is no such file.
            ChecksumMismatch: It arrived damaged, repeatedly.
            FileChanged: It changed while it was fetched, repeatedly.
            NotEnoughSpace: The disk has no room.
            TransferInterrupted: The link broke for too long.
        """
        self._part.resume(self._read_saved)
        if self._part.resumed_at:
            _log.info("xfworker.download_resumed", file=str(self._resource), bytes=self._part.resumed_at)
        try:
            while True:
                self._fetch_all()
                stat = self._part.stat
                assert stat is not None
                try:
                    verified = self._part.publish(stat)
                except ChecksumMismatch as error:
                    self._from_the_start(error)
                    continue
                return evolve(verified, direct_access_path=None, sample_sha256=None)
        except NotEnoughSpace:
            self._stop_helpers()
            self._part.discard()  # what arrived would keep the disk full
            raise
        except BaseException:
            self._stop_helpers()
            self._part.leave()
            raise
        finally:
            if self._buffer is not None:
                self._buffers.give_back(self._buffer)

    def _read_saved(self, value: Any) -> FileStat:
        known = {key: value[key] for key in ("size", "etag", "sha256", "xxh3")}
        return FileStat(resource=self._resource, **known)

    def _from_the_start(self, reason: FileError) -> None:
        self._stop_helpers()
        self._part.reset()
        self._retries.start_over(reason)
        _log.warning("xfworker.download_restarted", file=str(self._resource), reason=str(reason))

    def _fetch_all(self) -> None:
        while not self._part.is_complete:
            span = self._part.spans.take_first()
            if span is None and self._part.spans.missing:
                self._part.catch_up(0.2)
                self._report()
                continue
            if span is None and self._part.stat is not None:
                self._part.catch_up(0.0)
                continue
            try:
                self._fetch(span)
            except FileChanged:  # seen here, or by a server whose store cannot hold a file still
                self._from_the_start(
                    FileChanged(f"{self._resource} changed in the store while it was fetched, again and again")
                )
            except ServerError as error:
                self._has_failed = True
                self._retries.wait(error)

    def _fetch(self, span: Span | None) -> None:
        """Fetch a part, or, before anything is known of the file, all of it."""
        part = span or Span(0, 0, 0, taken=True)
        try:
            with self._request(part.position, None) as answer:
                if answer.status == _UNSATISFIABLE:
                    raise self._changed()
                if answer.status != _PARTIAL:
                    part = self._begin(answer)
                self._receive(answer, part)
        finally:
            self._part.spans.give_back(part)

    def _begin(self, answer: AnswerStream) -> Span:
        """Take an answer that begins with the first byte."""
        if self._part.spans.arrived:
            before = self._part.stat
            now = stat_from_headers(self._resource, answer.headers, answer.length or 0)
            if before is None or before.etag is None or before.etag != now.etag:
                raise self._changed()
        if answer.length is None:
            raise ProtocolViolation(f"fetching {self._resource}: the answer does not state its size")
        self._stop_helpers()
        stat = stat_from_headers(self._resource, answer.headers, answer.length)
        # Of many small files, what is kept to go on with costs half the time.
        if answer.length <= BUFFER_BYTES and not self._has_failed:
            self._buffer = self._buffer or self._buffers.take()
            self._part.take_whole(stat, _whole_body(answer, self._buffer[: answer.length]))
            self._report()
            return Span(0, 0, 0)
        self._part.restart(stat)
        self._ranges_work = answer.headers.get("accept-ranges", "").strip().lower() == "bytes"
        self._report()
        return self._part.spans.take_first() or Span(0, 0, 0)

    @contextmanager
    def _request(self, start: int, end: int | None) -> Iterator[AnswerStream]:
        headers = {"Accept": "*/*"}
        stat = self._part.stat
        if stat is not None and stat.etag is not None and (start or end is not None):
            headers["Range"] = write_range(start, end)
            headers["If-Range"] = quoted_etag(stat.etag)
        with ExitStack() as opened:
            if self._elsewhere is not None:
                headers[TAKES_REDIRECTS] = "?1"

            def ask(own: dict[str, str]) -> AnswerStream:
                doing, fields, accept = f"fetch {self._resource}", headers | own, _ANSWERS | {_REDIRECT}
                return opened.enter_context(
                    self._transport.stream("GET", self._path, doing=doing, headers=fields, accept=accept)
                )

            answer = self._bearer.ask(ask)
            if answer.status == _REDIRECT:
                answer = self._redirected(opened, answer.headers, headers) or self._bearer.ask(ask)
            if answer.status == _PARTIAL:
                self._check_range(answer, start)
            yield answer

    def _redirected(
        self, opened: ExitStack, redirect: Mapping[str, str], headers: dict[str, str]
    ) -> AnswerStream | None:
        """Ask where the server says that the file is, or give ``None`` where it cannot be had from there."""
        assert self._elsewhere is not None
        location, etag = redirect.get("location", ""), redirect.get("etag", "")
        fields = {"Accept": "*/*", "If-Match": etag}
        if "Range" in headers:
            fields["Range"] = headers["Range"]
        try:
            transport, path = self._elsewhere(location)
            doing, accept = f"fetch {self._resource}", _ANSWERS | {_ANOTHER}
            answer = opened.enter_context(transport.stream("GET", path, doing=doing, headers=fields, accept=accept))
        except (ServerError, ConfigurationError, AuthenticationFailed, PermissionDenied, FileNotInStore) as error:
            # The object store may be reached by the server only; then everything comes through the server.
            _log.info("xfworker.download_not_redirected", file=str(self._resource), reason=str(error))
            self._elsewhere = None
            headers.pop(TAKES_REDIRECTS, None)
            return None
        if answer.status == _ANOTHER:
            raise self._changed()
        # What the server says of the file counts; the object store knows the bytes.
        answer.headers = HTTPHeaderDict({**dict(answer.headers), "Accept-Ranges": "bytes"})
        for name in (*DIGEST_FIELDS.values(), "ETag", "Last-Modified"):
            if (value := redirect.get(name)) is not None:
                answer.headers[name] = value
        return answer

    def _open_range(self, span: Span) -> Any:
        """Ask for exactly a part, for a helper."""
        return self._request(span.position, span.end)

    def _check_range(self, answer: AnswerStream, position: int) -> None:
        content_range = parse_content_range(answer.headers.get("content-range"))
        stat = self._part.stat
        if stat is None or content_range is None or (content_range[0], content_range[2]) != (position, stat.size):
            raise self._changed()
        if strong_etag(answer.headers) not in {None, stat.etag}:
            raise self._changed()
        self._ranges_work = True

    def _changed(self) -> FileChanged:
        return FileChanged(f"{self._resource} is another in the store by now")

    def _receive(self, answer: AnswerStream, span: Span) -> None:
        pace = ReadingPace(self._limits.block_bytes)
        part = self._part
        while (room := part.spans.room(span)) > 0:
            block = part.pool.take()
            count = 0
            try:
                read = partial(answer.read_into, in_bulk=pace.is_fast)
                count = pace.measure(read, block[: min(room, pace.bytes)])
            finally:
                if not count:
                    part.pool.give_back(block)
            if not count:
                raise ProtocolViolation(f"fetching {self._resource}: the answer ended before the file did")
            part.write(span, block, count)
            self._retries.progressed()
            self._report()
            if self._ranges_work:
                # Made here, because they know this download: many small files would leave much to the collector.
                self._helpers = self._helpers or RangeHelpers(part, self._open_range, self._limits)
                self._helpers.add_where_it_gains()

    def _stop_helpers(self) -> None:
        if self._helpers is not None:
            self._helpers.stop()

    def _report(self) -> None:
        if self._progress is not None and self._part.stat is not None:
            self._progress(self._part.arrived, self._part.stat.size)


def _whole_body(answer: AnswerStream, content: memoryview) -> memoryview:
    while answer.received < len(content):
        answer.read_into(content[answer.received :])
    return content
