"""
The two digests of a file: SHA-256, which says what it is, and XXH3-128, by which transfers are checked.

SHA-256 runs at 0.2 to 1.7 GB/s, with instructions of the processor for it or without: it takes longer than moving the
bytes over loopback, so it is computed only where somebody asks for it. XXH3 costs next to nothing beside it. A link or
a disk damages by accident, and a digest of 128 bits finds that as surely as one of 256; against forgery neither helps,
as both travel beside the bytes.
"""

import hashlib
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path
from typing import Protocol, Self, TypeVar

import xxhash
from attrs import define, evolve, field

from xfworker.domain.digest_field import SHA256, XXH3
from xfworker.domain.digests import Digests
from xfworker.domain.files import FileStat

_BLOCK = 1 << 20
_HASHERS: Mapping[str, Callable[[], "Hasher"]] = {SHA256: hashlib.sha256, XXH3: xxhash.xxh3_128}


class Hasher(Protocol):
    """What :mod:`hashlib` and :mod:`xxhash` give."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""
        ...

    def copy(self) -> Self:
        """Give a second one that has seen the same."""
        ...

    def hexdigest(self) -> str:
        """Give the digest so far."""
        ...


HasherT = TypeVar("HasherT", bound=Hasher)


@define
class FileHash:
    """
    The digests of a stream in one pass: XXH3, and SHA-256 where somebody asked for it.

    Attributes:
        sha256: The running SHA-256, or ``None``.
        xxh3: The running XXH3.
    """

    sha256: Hasher | None = None
    xxh3: Hasher = field(factory=lambda: new_hasher(XXH3))

    @classmethod
    def begin(cls, *, sha256: bool) -> "FileHash":
        """Begin with or without SHA-256."""
        return cls(new_hasher(SHA256) if sha256 else None)

    def update(self, data: bytes | memoryview, /) -> None:
        self.xxh3.update(data)
        if self.sha256 is not None:
            self.sha256.update(data)

    def copy(self) -> "FileHash":
        return FileHash(None if self.sha256 is None else self.sha256.copy(), self.xxh3.copy())

    def hexdigest(self) -> str:
        return self.xxh3.hexdigest()

    def digests(self) -> Digests:
        return Digests(None if self.sha256 is None else self.sha256.hexdigest(), self.xxh3.hexdigest())


def new_hasher(algorithm: str) -> Hasher:
    """Begin a digest of the kind that header fields call so."""
    return _HASHERS[algorithm]()


def checking_digest(stat: FileStat) -> tuple[str, str | None]:
    """Give the kind of digest by which a copy of a file is checked, and what it must be, where that is known."""
    return (SHA256, stat.sha256) if stat.xxh3 is None and stat.sha256 is not None else (XXH3, stat.xxh3)


def with_digest(stat: FileStat, algorithm: str, digest: str) -> FileStat:
    """Give what is said of a file with a digest that was computed of it."""
    return evolve(stat, sha256=digest) if algorithm == SHA256 else evolve(stat, xxh3=digest)


def file_sha256(path: Path) -> str:
    """Give the SHA-256 of a file as 64 hexadecimal digits."""
    return hash_file(path, new_hasher(SHA256)).hexdigest()


def file_digests(path: Path, *, sha256: bool = True) -> Digests:
    """Give both digests of a file, or the quick one only."""
    return hash_file(path, FileHash.begin(sha256=sha256)).digests()


def hash_file(path: Path, into: HasherT, *, offset: int = 0, length: int | None = None) -> HasherT:
    """
    Add a file, or a part of it, to a hash object, and give that back.

    Args:
        path: The file.
        into: The hash object.
        offset: Where to begin.
        length: How many bytes; to the end where ``None``. Fewer are taken where the file ends before.
    """
    with path.open("rb", buffering=0) as file:
        return hash_open_file(file, into, offset=offset, length=length)


def hash_open_file(file: FileIO, into: HasherT, *, offset: int = 0, length: int | None = None) -> HasherT:
    """Do what :func:`hash_file` does with a file that is open."""
    view = memoryview(bytearray(_BLOCK))
    remaining = length
    file.seek(offset)
    while remaining is None or remaining > 0:
        count = file.readinto(view if remaining is None else view[: min(_BLOCK, remaining)])
        if not count:
            break
        into.update(view[:count])
        remaining = None if remaining is None else remaining - count
    return into
