"""Moves everything that a server keeps to another database and another store of files; the old is only read."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

from attrs import define

from xfworker.adapters.transfer.hashing import FileHash
from xfworker.api.composition.endpoint_file import server_lock
from xfworker.api.composition.kept_files import kept_files
from xfworker.api.composition.platform import PlatformStorage, file_store, make_data_folder, opened_records
from xfworker.domain.digests import Digests
from xfworker.domain.errors import ChecksumMismatch, FileNotInStore, UsageError
from xfworker.domain.files import AuthorizationToken, FileStat, Resource, own_token, parse_resource

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from xfworker.api.composition.platform import StoredFiles

_AT_ONCE = 4
_UNKNOWN = Digests()


@define(frozen=True, kw_only=True)
class Moved:
    """
    What was moved.

    Attributes:
        records: How many rows each table has, in both databases.
        files: How many files there are, in both stores.
        file_bytes: Their size.
        copied_files: How many of them were copied now; the others were there from an earlier attempt.
    """

    records: dict[str, int]
    files: int
    file_bytes: int
    copied_files: int


def migrate(
    source: PlatformStorage, target: PlatformStorage, progress: Callable[[str], None], *, read_back: bool = False
) -> Moved:
    """
    Copy the secret, the records and the files of a server, and compare what was copied with what it was copied from.

    Serials, lock versions and times of records are kept, and so are all tokens, which the secret signs. What an earlier
    attempt copied is compared, not copied again.

    Args:
        source: Where everything is; no server may run on it.
        target: Where it goes: empty, or what an earlier attempt left.
        progress: Gets a line now and then.
        read_back: Whether every file is read from the target again and compared.

    Raises:
        UsageError: A server runs on one of the two, the source holds no records, or the target holds something else.
        ConfigurationError: A database or bucket cannot be opened, or the source has the schema of another version.
        ChecksumMismatch: A file or table is not the same there.
    """
    from xfworker.adapters.sql.moving import claim_target, contents, copy_rows, release_target

    if source.database is None and not (source.data / "records.sqlite").exists():
        raise UsageError(f"{source.data} holds no records of a server; name its data folder with --from")
    if source.data.resolve() == target.data.resolve():
        raise UsageError("the new data folder is the old one; name another with --data")
    if not source.secret_path.exists():
        raise UsageError(f"{source.secret_path} is not there; without it all tokens would end")
    with ExitStack() as stack:
        stack.enter_context(_stopped(source))
        old = stack.enter_context(_opened_source(source))
        old_files = file_store(source)
        stack.callback(old_files.close)
        new_files = file_store(target)  # what is wrong with a bucket is said before anything is made
        stack.callback(new_files.close)
        make_data_folder(target)
        stack.enter_context(_stopped(target))
        new = stack.enter_context(_opened_target(target))
        resumed = claim_target(new, {"from": _identity(source), "files": new_files.identity})
        if not resumed and next(iter(kept_files(target).names()), None) is not None:
            release_target(new)
            raise UsageError("the store of the files holds files already; name an empty folder or prefix with --files")
        _copy_secret(source, target)
        copy_rows(old, new, lambda table, count: progress(f"{table}: {count} rows"))
        files = _Files(old_files, new_files, read_back)
        names = list(kept_files(source).names())
        _move_files(files, names, progress)
        progress("comparing all records")
        before, after = contents(old), contents(new)
        differ = sorted(table for table in before if before[table] != after[table])
        if differ:
            raise ChecksumMismatch(
                f"the records of {', '.join(differ)} are not the same in both databases; were they changed meanwhile? "
                "Drop the new database and begin again, with no server running"
            )
        there = list(kept_files(target).names())
        if sorted(there) != sorted(names):
            raise ChecksumMismatch(f"there are {len(there)} files in the new store and {len(names)} in the old one")
        release_target(new)
    return Moved(
        records={table: content.rows for table, content in before.items()},
        files=len(names),
        file_bytes=files.bytes,
        copied_files=files.copied,
    )


@contextmanager
def _stopped(storage: PlatformStorage) -> Iterator[None]:
    with server_lock(storage.data) as is_free:
        if not is_free:
            raise UsageError(f"a server runs on {storage.data}; stop it first")
        yield


@contextmanager
def _opened_source(storage: PlatformStorage) -> "Iterator[Engine]":
    from xfworker.adapters.sql.moving import open_source, require_schema
    from xfworker.adapters.sql.schema import current_revision, newest_revision

    engine = open_source(storage.data / "records.sqlite", storage.database)
    try:
        require_schema(engine, current_revision(engine), newest_revision())
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _opened_target(storage: PlatformStorage) -> "Iterator[Engine]":
    from xfworker.adapters.sql.records import SqlRecordStore

    records = opened_records(storage)
    try:
        if not isinstance(records, SqlRecordStore):
            raise UsageError("records that are only in memory are no place to move to")
        yield records.engine
    finally:
        records.close()


def _identity(storage: PlatformStorage) -> str:
    from xfworker.adapters.jwt.secret_file import secrets_in
    from xfworker.adapters.jwt.token_signer import fingerprint

    return fingerprint(secrets_in(storage.secret_path).current)


def _copy_secret(source: PlatformStorage, target: PlatformStorage) -> None:
    secret = source.secret_path.read_bytes()
    path = target.secret_path
    if path.exists():
        if path.read_bytes() != secret:
            raise UsageError(f"{path} is another server's secret; name a new folder with --data")
        return
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(secret)


@define
class _Files:
    """
    Copies files one by one.

    Attributes:
        copied: How many were copied.
        bytes: How many bytes all of them have.
    """

    _old: "StoredFiles"
    _new: "StoredFiles"
    _read_back: bool
    copied: int = 0
    bytes: int = 0

    def move(self, name: str) -> tuple[int, bool]:
        """Copy a file unless it is there, compare both, and give its size and whether it was copied."""
        resource = parse_resource(name)
        token = own_token(("read",), resource)
        known, opened = self._old.open_file(token, resource)
        with ExitStack() as closing:
            closing.callback(opened.close)
            digests = Digests(known.sha256, known.xxh3)
            is_there = self._is_there(token, known)
            if not is_there:
                incoming = self._new.receive(resource, size=known.size, sha256=known.sha256 is not None)
                try:
                    for block in opened.blocks(offset=0, length=known.size):
                        incoming.write(block)
                    digests = incoming.digests(sha256=known.sha256 is not None)
                    incoming.publish(nullcontext, size=known.size, expected=Digests(known.sha256, known.xxh3))
                finally:
                    incoming.discard()
            self._compare(token, known.size, resource, digests)
        return known.size, not is_there

    def _is_there(self, token: AuthorizationToken, known: FileStat) -> bool:
        try:
            found = self._new.stat(token, known.resource)
        except FileNotInStore:
            return False
        both = Digests(known.sha256, known.xxh3), Digests(found.sha256, found.xxh3)
        comparable = (known.xxh3 and found.xxh3) or (known.sha256 and found.sha256)
        return bool(comparable) and found.size == known.size and both[0].agree(both[1])

    def _compare(self, token: AuthorizationToken, size: int, resource: Resource, digests: Digests) -> None:
        found, opened = self._new.open_file(token, resource)
        there = Digests(found.sha256, found.xxh3)
        if self._read_back:
            hashed = FileHash.begin(sha256=digests.sha256 is not None)
            for block in opened.blocks(offset=0, length=found.size):
                hashed.update(block)
            there = hashed.digests()
        opened.close()
        if found.size != size or digests == _UNKNOWN or not there.agree(digests):
            raise ChecksumMismatch(
                f"{resource} is not the same in both stores: {size} bytes, {digests} here, {found.size} bytes, {there} "
                "there"
            )


def _move_files(files: _Files, names: list[str], progress: Callable[[str], None]) -> None:
    step = max(len(names) // 20, 1)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="xfworker-migrate") as threads:
        moving = [threads.submit(files.move, name) for name in names]
        try:
            for number, future in enumerate(moving, 1):
                size, copied = future.result()
                files.bytes += size
                files.copied += copied
                if number % step == 0 or number == len(names):
                    progress(f"files: {number} of {len(names)}, {files.bytes} bytes")
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
