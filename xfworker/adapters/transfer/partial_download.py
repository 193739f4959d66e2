"""A file that is being fetched: where its parts are written, how far it is verified, and the record to go on from."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xfworker.adapters.transfer import journal
from xfworker.adapters.transfer.digest_thread import BlockPool, DigestThread, running_digest
from xfworker.adapters.transfer.hashing import Hasher, checking_digest, hash_file, new_hasher, with_digest
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.adapters.transfer.os_errors import disk_errors, require_room
from xfworker.adapters.transfer.partial_file import publish
from xfworker.adapters.transfer.positioned_file import PositionedFile
from xfworker.adapters.transfer.spans import Span, Spans
from xfworker.domain.errors import ChecksumMismatch
from xfworker.domain.files import FileStat

_SECONDS_BETWEEN_SAVES = 1.0
_WORTH_A_JOURNAL = 1 << 20
"""A file up to this size is fetched anew sooner than how far it is was written down."""


class PartialDownload:
    """
    The state of one download.

    One thread, the fetching one, calls everything but :meth:`write_elsewhere`.

    Attributes:
        stat: What the server said of the file, or ``None`` before it said anything.
        spans: Which parts have arrived.
        resumed_at: Bytes that an earlier attempt had fetched.
    """

    def __init__(self, what: str, key: str, target: Path, limits: TransferLimits) -> None:
        self._what = what
        self._key = key
        self._target = target
        self._limits = limits
        self._journal = journal.begin(target.parent, key)
        self._file: PositionedFile | None = None
        self._digest: DigestThread[Hasher] | None = None
        self._hashed = 0
        self._unwritten: memoryview | None = None
        self._saved = (0, 0.0)
        self.pool = BlockPool(limits.blocks, limits.block_bytes)
        self.stat: FileStat | None = None
        self.spans = Spans.of_size(0)
        self.resumed_at = 0

    def resume(self, read_stat: Callable[[Any], FileStat]) -> None:
        """Go on from what an earlier attempt left, as far as that is what it saved."""
        fields = self._journal.fields
        if not fields:
            return
        try:
            stat = read_stat(fields["stat"])
            verified, digest = fields["verified"]
            spans = Spans.from_json(fields["spans"], stat.size)
            if spans is None or stat.etag is None or self._journal.data.stat().st_size > stat.size:
                return
            algorithm, _ = checking_digest(stat)
            hasher = hash_file(self._journal.data, new_hasher(algorithm), length=verified)
            if hasher.hexdigest() != digest or spans.contiguous < verified:
                return
        except (OSError, ValueError, KeyError, TypeError):
            return
        with disk_errors(f"fetch {self._what}"):
            self._file = PositionedFile(self._journal.data)
        self.stat, self.spans, self._hashed = stat, spans, verified
        self._digest = running_digest(algorithm, hasher)
        self.resumed_at = spans.arrived

    def restart(self, stat: FileStat) -> None:
        """
        Begin at the first byte with a file of this description.

        Raises:
            NotEnoughSpace: The disk has no room for it.
        """
        with disk_errors(f"fetch {self._what}"):
            freed = self._file.size if self._file else 0
            require_room(self._target.parent, stat.size, f"fetch {self._what}", freed=freed)
            if self._file is None:
                self._file = PositionedFile(self._journal.data)
            if self._file.size:
                self._file.truncate(0)
        if self._digest is not None:
            self._digest.close()
        self.stat, self.spans, self._hashed = stat, Spans.of_size(stat.size), 0
        self._digest = running_digest(checking_digest(stat)[0])
        self.pool = BlockPool(self._limits.blocks, max(min(self._limits.block_bytes, stat.size), 1))
        self._saved = (0, time.monotonic())

    def take_whole(self, stat: FileStat, content: memoryview) -> None:
        """Take a small file of this description that arrived in one piece; it is written once it is verified."""
        self.stat = stat
        self._digest = running_digest(checking_digest(stat)[0])
        self._digest.update(content)
        self._unwritten = content

    def write(self, span: Span, block: memoryview, count: int) -> None:
        """
        Write bytes that arrived at the span's position; the block goes back to the pool when it is hashed.

        Raises:
            NotEnoughSpace: The disk is full.
        """
        assert self._digest is not None
        position = span.position
        if position == self._hashed:
            self._hashed += count
            self._digest.update(block[:count], lambda: self.pool.give_back(block))
            self._write_at(position, block[:count])
        else:
            self._write_at(position, block[:count])
            self.pool.give_back(block)
        self.spans.advance(span, count)
        self._save_now_and_then()

    def write_elsewhere(self, span: Span, block: memoryview) -> None:
        """Write bytes that another connection received; they are hashed when their turn comes."""
        self._write_at(span.position, block)
        self.spans.advance(span, len(block))

    def _write_at(self, position: int, block: memoryview) -> None:
        with disk_errors(f"fetch {self._what}"):
            assert self._file is not None
            self._file.write_at(position, block)

    def catch_up(self, seconds: float) -> None:
        """Hash what other connections brought, or wait so long for it."""
        assert self._digest is not None
        reached = self.spans.wait_beyond(self._hashed, seconds)
        if reached > self._hashed:
            block = self.pool.take()
            count = self._read_at(self._hashed, block[: min(len(block), reached - self._hashed)])
            self._hashed += count
            self._digest.update(block[:count], lambda: self.pool.give_back(block))
            self._save_now_and_then()

    def _read_at(self, position: int, view: memoryview) -> int:
        with disk_errors(f"read back {self._what}"):
            assert self._file is not None
            return self._file.read_at(position, view)

    @property
    def is_complete(self) -> bool:
        """Whether everything has arrived and was hashed."""
        if self._unwritten is not None:
            return True
        return self.stat is not None and not self.spans.missing and self._hashed == self.stat.size

    @property
    def arrived(self) -> int:
        """Bytes that have arrived, wherever."""
        return self.spans.arrived if self._unwritten is None else len(self._unwritten)

    def _save_now_and_then(self) -> None:
        hashed, moment = self._saved
        now = time.monotonic()
        if self._hashed - hashed < self._limits.journal_bytes and now - moment < _SECONDS_BETWEEN_SAVES:
            return
        self._saved = (self._hashed, now)
        self._save_behind_the_digest()

    def _save_behind_the_digest(self) -> None:
        digest, hashed, spans = self._digest, self._hashed, self.spans.to_json()
        assert digest is not None

        def save() -> None:
            self._save(hashed, digest.current().hexdigest(), spans)

        digest.after_that(save)

    def _save(self, hashed: int, digest: str, spans: list[list[int]]) -> None:
        stat = self.stat
        if stat is not None and stat.etag is not None and stat.size > _WORTH_A_JOURNAL:
            fields = {key: getattr(stat, key) for key in ("size", "etag", "sha256", "xxh3")}
            self._journal.save(stat=fields, verified=[hashed, digest], spans=spans)

    def publish(self, expected: FileStat) -> FileStat:
        """
        Check the whole and give it its final name; gives what is said of it with the digest that arrived.

        Raises:
            ChecksumMismatch: It is not what the server holds; it keeps its partial name.
        """
        assert self._digest is not None
        arrived = self._digest.hexdigest()
        algorithm, digest = checking_digest(expected)
        if digest not in {None, arrived}:
            raise ChecksumMismatch(
                f"{self._what} did not arrive as the store holds it: {algorithm.upper()} {arrived} arrived, "
                f"{digest} was expected"
            )
        with disk_errors(f"fetch {self._what} to {self._target}"):
            if self._unwritten is not None:
                self._file = self._file or PositionedFile(self._journal.data)
                self._file.write_at(0, self._unwritten)
            self._close_file()
            publish(self._journal.data, self._target, fsync=self._limits.fsync)
        if self._journal.fields:
            self._journal.remove()
        return with_digest(expected, algorithm, arrived)

    def leave(self) -> None:
        """Stop here so that a later attempt can go on; without anything to go on from, nothing is left."""
        resumable = self.stat is not None and self.stat.etag is not None and self.stat.size > _WORTH_A_JOURNAL
        if not resumable or not self.spans.arrived:
            self.discard()
            return
        assert self._digest is not None
        self._save(self._hashed, self._digest.hexdigest(), self.spans.to_json())
        self._close_file()
        self._journal.release()

    def reset(self) -> None:
        """Discard what arrived, to begin again."""
        if self._digest is not None:
            self._digest.close()
            self._digest = None
        if self._file is not None:
            with disk_errors(f"fetch {self._what}"):
                self._file.truncate(0)
        self.stat, self.spans, self._hashed, self._unwritten = None, Spans.of_size(0), 0, None

    def discard(self) -> None:
        """Delete everything."""
        self._close_file()
        self._journal.remove()

    def _close_file(self) -> None:
        if self._digest is not None:
            self._digest.close()
        if self._file is not None:
            self._file.close()
            self._file = None
