"""What fails at the n-th call."""

import errno
import io
import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from attrs import define, field
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from xfworker.domain.errors import ServerFault
from xfworker.ports.record_store import Locking

EACH_CALL = bool(os.environ.get("XFWORKER_FAULTS_AT_EACH_CALL"))
"""In the default suite some calls fail, with `make faults` each of them."""


@define
class Countdown:
    """
    Counts calls, and says which of them fail.

    Attributes:
        fails_at: Which call fails, from 1.
        stays: Whether all behind it fail as well.
        calls: What was called so far.
        failed: What failed.
    """

    fails_at: int
    stays: bool = False
    calls: int = 0
    failed: list = field(factory=list)
    healed: bool = False

    def heal(self):
        self.healed = True

    def strikes(self, what):
        if self.healed:
            return False
        self.calls += 1
        strikes = self.calls == self.fails_at or (self.stays and self.calls > self.fails_at)
        if strikes:
            self.failed.append(what)
        return strikes


# --- the disk -----------------------------------------------------------------------------------------------------

_WRITING = ("write", "writev", "pwrite", "copy_file_range", "sendfile", "ftruncate", "truncate", "mkdir", "link")
_OTHERS = ("open", "read", "pread", "readv", "preadv", "fsync", "fdatasync", "replace", "rename", "unlink", "remove")
_ABOUT = ("rmdir", "stat", "lstat", "fstat", "listdir", "scandir", "chmod", "fchmod", "utime", "getxattr", "setxattr")
_RAW = ("read", "readinto", "readall", "write", "truncate")


@contextmanager
def failing_disk(folder, countdown):
    """Let calls of the operating system that touch what is in a folder fail, those of Python's own files among them."""
    disk = _Disk(os.fspath(folder), countdown)
    with ExitStack() as stack:
        for name in (*_WRITING, *_OTHERS, *_ABOUT):
            if hasattr(os, name):
                stack.enter_context(patch.object(os, name, disk.wrapped(name, getattr(os, name))))
        stack.enter_context(patch.object(io, "open", disk.open))
        stack.enter_context(patch("builtins.open", disk.open))
        yield


class _Disk:
    def __init__(self, folder, countdown):
        self._folder = folder
        self._countdown = countdown
        self._handles = set()
        self._open = io.open
        disk = self

        class File(io.FileIO):
            """A file whose calls are counted; Python's own files do not go by the module ``os``."""

            def close(self):
                disk._handles.discard(-1 if self.closed else self.fileno())
                super().close()

        for name in _RAW:
            setattr(File, name, self._raw(name, getattr(io.FileIO, name)))
        self._file = File

    def wrapped(self, name, call):
        def counted(*arguments, **options):
            if self._concerns(arguments):
                self._strike(name, arguments)
            answer = call(*arguments, **options)
            if name == "open" and self._is_inside(arguments[0]):
                self._handles.add(answer)
            return answer

        # What looks for a call among those that take a handle (os.supports_fd) must find this one.
        for supported in (os.supports_fd, os.supports_dir_fd, os.supports_follow_symlinks):
            if call in supported:
                supported.add(counted)
        return counted

    def open(self, file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
        if not self._is_inside(file):
            return self._open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        self._strike(f"open {mode}", (file,))
        raw = self._file(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        self._handles.add(raw.fileno())
        if buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        kind = io.BufferedRandom if "+" in mode else io.BufferedReader if "r" in mode else io.BufferedWriter
        buffered = kind(raw, size)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline, buffering == 1)

    def _raw(self, name, call):
        def counted(file, *arguments):
            self._strike(f"{name} of a file", (file.name,))
            return call(file, *arguments)

        return counted

    def _concerns(self, arguments):
        return any(self._is_inside(argument) for argument in arguments[:2]) or any(
            type(argument) is int and argument in self._handles for argument in arguments[:2]
        )

    def _is_inside(self, path):
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self._folder)

    def _strike(self, name, arguments):
        target = next((os.fspath(one) for one in arguments if isinstance(one, str | os.PathLike)), None)
        if self._countdown.strikes(f"{name} {'' if target is None else Path(target).name}"):
            full = name.split()[0] in _WRITING
            number = errno.ENOSPC if full else errno.EIO
            raise OSError(number, os.strerror(number), target)


# --- the record store ---------------------------------------------------------------------------------------------


class FailingRecords:
    """A record store whose transactions fail where they begin, before they are committed, or after it."""

    def __init__(self, records, countdown):
        self._records = records
        self._countdown = countdown

    def __getattr__(self, name):
        return getattr(self._records, name)

    @contextmanager
    def transaction(self, *, write=True, locking=Locking.EXCLUSIVE, of=None):
        self._strike("begin")
        with self._records.transaction(write=write, locking=locking, of=of) as inner:
            yield inner
            if write:
                self._strike("commit")
        if write:
            self._strike("the answer of the commit")

    def _strike(self, what):
        if self._countdown.strikes(what):
            raise ServerFault(f"the database failed: {what}")


@contextmanager
def failing_statements(engine, countdown):
    """Let SQL statements, and commits, fail as they do where the disk of the database does."""

    def fail(what):
        if countdown.strikes(what):
            raise OperationalError(what, {}, _DatabaseError("disk I/O error"))

    def statement(_connection, _cursor, text, *_):
        fail(" ".join(text.split())[:60])

    def commit(_connection):
        fail("COMMIT")

    event.listen(engine, "before_cursor_execute", statement)
    event.listen(engine, "commit", commit)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", statement)
        event.remove(engine, "commit", commit)


class _DatabaseError(Exception):
    """What a database driver raises."""
