"""A folder of pyramids: one folder for each content, one for each level in it, one file for each layer."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from xfworker.adapters.bricks.layer_file import read_brick, write_layer
from xfworker.adapters.transfer.os_errors import disk_errors
from xfworker.adapters.transfer.partial_file import PARTIAL_PREFIX, partial_path, replacing
from xfworker.domain.errors import ChecksumMismatch, FileNotInStore

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_SUFFIX: Final = ".bricks"
_USED: Final = "used"
_ABANDONED_SECONDS: Final = 24 * 3600.0


class BrickFolder:
    """
    The ``BrickStore`` port over a folder.

    Several servers may use one folder: layers are published whole, and two that make the same one make it equal.
    """

    def __init__(self, root: Path, *, limit_bytes: int) -> None:
        """
        Take the folder, which need not exist yet.

        Args:
            root: The folder.
            limit_bytes: What all pyramids together may take; they never take more than half of what is free.
        """
        self._root = root
        self._limit_bytes = limit_bytes

    def pyramid(self, key: str) -> "FolderPyramid":
        """Give the pyramid of a content; see the port."""
        folder = self._root / key
        with disk_errors(f"keep a pyramid in {self._root}"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (folder / _USED).touch(mode=0o600)
        return FolderPyramid(folder)

    def make_room(self, key: str, byte_count: int) -> int:
        """Drop the pyramids that were used longest ago, as far as another needs their room; see the port."""
        self._sweep()
        sizes = {folder: _byte_count(folder) for folder in self._pyramids()}
        own = sizes.pop(self._root / key, 0)
        others = sum(sizes.values())
        free = shutil.disk_usage(self._root).free
        # Half of what is free and of what could be: jobs need the disk more than pictures do.
        limit = min(self._limit_bytes, (free + own + others) // 2)
        if byte_count > limit:
            return limit
        for folder in sorted(sizes, key=_used_at):
            if own + others + max(0, byte_count - own) <= limit:
                break
            others -= sizes[folder]
            _remove(folder)
        return byte_count

    def _pyramids(self) -> Iterator[Path]:
        with suppress(FileNotFoundError):
            yield from (entry for entry in self._root.iterdir() if not entry.name.startswith(PARTIAL_PREFIX))

    def _sweep(self) -> None:
        """Remove what a server that was killed left half written or half removed."""
        with suppress(OSError):
            for path in self._root.rglob(f"{PARTIAL_PREFIX}*"):
                with suppress(OSError):
                    if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()


@define
class FolderPyramid:
    """The ``StoredPyramid`` port over a folder."""

    _folder: Path

    def has_layer(self, volume: str, layer: int) -> bool:
        """Return whether a layer is complete; see the port."""
        return self._path(volume, layer).is_file()

    def write_layer(self, volume: str, layer: int, count: int, bricks: "Iterator[Pixels]") -> None:
        """Keep a layer; see the port."""
        path = self._path(volume, layer)
        with disk_errors(f"keep bricks in {path}"):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with replacing(path, fsync=True, private=True) as partial, partial.open("wb") as file:
                write_layer(file, count, bricks)

    def read_brick(self, volume: str, layer: int, brick: int) -> bytes:
        """Read the bytes of a brick; see the port."""
        path = self._path(volume, layer)
        with disk_errors(f"read bricks of {path}"):
            try:
                with path.open("rb", buffering=0) as file:
                    return read_brick(file, brick, path)
            except FileNotFoundError:
                raise FileNotInStore(f"{path} is not there any more; it is made anew from the image") from None
            except ChecksumMismatch:
                with suppress(OSError):
                    path.unlink()
                raise

    def _path(self, volume: str, layer: int) -> Path:
        return self._folder / volume / f"{layer:06d}{_SUFFIX}"


def _used_at(folder: Path) -> float:
    with suppress(OSError):
        return (folder / _USED).stat().st_mtime
    return 0.0


def _byte_count(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(parent) / name).stat().st_size
    return total


def _remove(folder: Path) -> None:
    """Remove a pyramid: at once for readers, who then see none of it."""
    gone = partial_path(folder.parent)
    with suppress(OSError):
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
