"""The disk of a file store, which loses what was not flushed when the power is cut: contents, names and folders."""

import os
import shutil
import stat
from contextlib import nullcontext

from attrs import define, field

from tests.simulation.ledger import require
from tests.simulation.records import ServerDiedError
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.domain.errors import FileError
from xfworker.domain.files import parse_resource

SHARE = r"\\store\files"
"""What the folder of the files is called in the network, where it is shared."""


@define(eq=False)
class TearingDisk:
    """
    Knows what was flushed, by ``os.fsync`` alone, and what is left of all else after a power cut.

    A file that was not flushed ends anywhere, one that was written on ends anywhere behind what was flushed. A name
    that was made, changed or removed in a folder that was not flushed after it is as before, or as it is.
    """

    world: object
    root: object
    _contents: dict[int, bytes] = field(factory=dict)
    _names: dict[int, dict[str, int]] = field(factory=dict)
    _left: dict | None = None

    def fsync(self, handle):
        """Do what ``os.fsync`` does; now and then the power is cut before it is done."""
        if self.world.luck.strikes("disk/power cut at a flush", self.world.chances["power cut"]):
            self.cut()
            raise ServerDiedError
        self._flush(handle)

    def _flush(self, handle):
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            self._names[status.st_ino] = _names_in(handle)
        else:
            self._contents[status.st_ino] = os.pread(handle, status.st_size, 0)

    @property
    def is_cut(self):
        return self._left is not None

    def cut(self):
        """Cut the power: whatever a process still does while it ends is not done."""
        if self._left is None:
            self._left = self._left_of(self.root)

    def come_back(self):
        """Put what is left where it was; from now on all of it is on the disk."""
        left, self._left = self._left, None
        shutil.rmtree(self.root)
        self._contents.clear()
        self._names.clear()
        self._put(self.root, left)

    def _left_of(self, folder):
        status = folder.stat()
        flushed, now = self._names.get(status.st_ino, {}), _names_in(folder)
        left = {}
        for name in sorted({*flushed, *now}):
            kept = now.get(name)
            if flushed.get(name) != kept and self._chance("name") < 0.5:
                kept = flushed.get(name)
            path = folder / name
            if kept is None:
                continue
            if kept != now.get(name):
                left[name] = self._contents.get(kept, b"")
            elif path.is_dir():
                left[name] = self._left_of(path)
            else:
                left[name] = self._content_left(kept, path.read_bytes())
        return left

    def _content_left(self, number, content):
        flushed = self._contents.get(number)
        if flushed == content:
            return content
        if flushed is None or not content.startswith(flushed):
            flushed = b""
        return content[: len(flushed) + int((len(content) - len(flushed)) * self._chance("content"))]

    def _chance(self, what):
        return self.world.luck.next_number(f"disk/{what} left")

    def _put(self, path, left):
        if isinstance(left, dict):
            path.mkdir()
            for name, item in left.items():
                self._put(path / name, item)
        else:
            path.write_bytes(left)
        handle = os.open(path, os.O_RDONLY)
        try:
            self._flush(handle)
        finally:
            os.close(handle)


def _names_in(folder):
    with os.scandir(folder) as entries:
        return {entry.name: entry.inode() for entry in entries}


class TearingFileStore(FolderFileStore):
    """The store of files in a folder itself, over such a disk; it knows what each file may hold after a cut."""

    def __init__(self, world, root):
        super().__init__(root, direct_access_root=SHARE if world.shares_files else None, fsync=True)
        self._world = world
        self._may_hold = world.may_hold

    def publish(self, partial, resource, digests, *permit):
        content = partial.read_bytes()
        self._may_hold.setdefault(resource, [None]).append(content)
        stat = super().publish(partial, resource, digests, *permit)
        # What was acknowledged is there from now on, and nothing that was there before.
        self._may_hold[resource] = [content]
        return stat

    def put(self, resource, content):
        """Store bytes that arrived in one request."""
        incoming = self.receive(resource, size=len(content))
        try:
            incoming.write(content)
            return incoming.publish(nullcontext)
        finally:
            incoming.close()

    def content(self, resource):
        try:
            return self.layout.file_path(resource).read_bytes()
        except (FileError, OSError):
            return None

    def delete(self, token, resource, **options):
        super().delete(token, resource, **options)
        if resource in self._may_hold:
            # It may be there again after a power cut, which costs only its place.
            self._may_hold[resource].append(None)

    def restored(self, names):
        """Know that these files are as a backup has them, and no others are there."""
        self._may_hold.clear()
        for resource in map(parse_resource, names):
            self._may_hold[resource] = [self.content(resource)]

    def check(self):
        """
        Check what is left of every file after a power cut.

        Raises:
            ViolationError: A file that was acknowledged is not there, or one is there by half.
        """
        for resource, may_hold in self._may_hold.items():
            held = self.content(resource)
            require(held in may_hold, f"after a power cut {resource} holds {held!r}, not one of {may_hold!r}")
