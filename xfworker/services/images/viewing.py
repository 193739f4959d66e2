"""Images of the file store as people look at them: opened once, prepared in the background, dropped when unused."""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

from attrs import define

from xfworker.domain.errors import UsageError
from xfworker.domain.files import Resource
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.series import series_member
from xfworker.ports.brick_store import BrickStore
from xfworker.ports.image_codec import ImageFormats, PixelReader
from xfworker.ports.local_files import LocalFiles
from xfworker.services.images.bricks import RecentBricks
from xfworker.services.images.callers_names import CallersNames
from xfworker.services.images.preparation import ImagePreparation
from xfworker.services.images.viewed_image import ViewedImage

Authorize = Callable[[Resource], None]
"""Raises ``PermissionDenied`` where the caller may not read a file."""

_LAYOUT: Final = "bricks-1"
"""Part of every key: another layout of bricks would not be mistaken for this one."""

RECENT_BYTES: Final = 64 << 20
"""What the bricks that were read last may take in memory."""
MOST_OPEN: Final = 16
"""How many images are kept open, besides those that are in use."""


@define
class _Opened:
    image: ViewedImage
    contents: tuple[str, ...]
    users: int


class ViewedImages:
    """Opens images of the file store for viewing; safe for threads."""

    def __init__(
        self, files: LocalFiles, formats: ImageFormats, store: BrickStore, preparation: ImagePreparation
    ) -> None:
        """
        Take the parts.

        Args:
            files: Where files of the store lie.
            formats: The image formats.
            store: Where pyramids are kept.
            preparation: Builds them; it is closed with this.
        """
        self._files = files
        self._formats = formats
        self._store = store
        self.preparation = preparation
        self._recent = RecentBricks(RECENT_BYTES)
        self._opened: OrderedDict[Resource, _Opened] = OrderedDict()
        self._former: list[_Opened] = []
        self._lock = Lock()

    @contextmanager
    def open(self, resource: Resource, authorize: Authorize) -> Iterator[ViewedImage]:
        """
        Open an image, or go on with one that is open; its preparation begins.

        Args:
            resource: Its main file, pixels in a file of their own beside it; a folder that is an image; or a series.
            authorize: Called with every file of the image before anything of it is read.

        Raises:
            PermissionDenied: The caller may not read one of its files.
            FileNotInStore: One is not there.
            UnsupportedImage: It is not an image of a known format.
            UsageError: It has axes other than those of space.
        """
        authorize(resource)
        opened = self._in_use(resource, authorize)
        try:
            with opened.image.names.errors():
                self.preparation.prepare(opened.image)
                yield opened.image
        finally:
            with self._lock:
                opened.users -= 1
            self._close_unused()

    def close(self) -> None:
        """End the preparation, and let go of all files."""
        self.preparation.close()
        with self._lock:
            for opened in (*self._opened.values(), *self._former):
                opened.image.close()

    def _in_use(self, resource: Resource, authorize: Authorize) -> _Opened:
        with self._lock:
            opened = self._opened.get(resource)
        if opened is not None:
            for file in opened.image.files:
                authorize(file)
            contents = tuple(self._files.content_id(file) for file in opened.image.files)
            with self._lock:
                if contents == opened.contents and self._opened.get(resource) is opened:
                    self._opened.move_to_end(resource)
                    opened.users += 1
                    return opened
        return self._open_anew(resource, authorize)

    def _open_anew(self, resource: Resource, authorize: Authorize) -> _Opened:
        path = self._files.local_path(resource)
        names = CallersNames.of(resource, path)
        with names.errors():
            return self._open_at(path, resource, authorize, names)

    def _open_at(self, path: Path, resource: Resource, authorize: Authorize, names: CallersNames) -> _Opened:
        files = self._files_of(resource, path)
        for file in files:
            authorize(file)
        contents = tuple(self._files.content_id(file) for file in files)
        reader = self._reader(resource, path)
        try:
            key = content_key(reader.info, contents)
            opened = _Opened(ViewedImage(reader, key, self._store, self._recent, files, names), contents, 1)
        except BaseException:
            reader.close()
            raise
        with self._lock:
            former = self._opened.pop(resource, None)
            if former is not None and former.contents == contents:
                opened.image.close()
                opened = former
                opened.users += 1
            elif former is not None:
                self._former.append(former)
            self._opened[resource] = opened
        return opened

    def _files_of(self, resource: Resource, path: Path) -> tuple[Resource, ...]:
        """Give what an image consists of; a folder and a series are one thing, however many files they have."""
        if path.is_dir() or path.name != resource.filename:
            return (resource,)
        info = self._formats.describe(path)
        if any(file.parent != path.parent for file in (*info.files, info.pixels_path)):
            raise UsageError(f"{resource} has files in other folders; images of one folder are shown.")
        names = dict.fromkeys([path.name, *(file.name for file in info.files), info.pixels_path.name])
        return tuple(Resource((*resource.segments[:-1], name)) for name in names)

    def _reader(self, resource: Resource, path: Path) -> PixelReader:
        member = series_member(resource)
        is_series = member is not None and path.name == member.filename
        return self._formats.series_reader(path) if is_series else self._formats.reader(path)

    def _close_unused(self) -> None:
        with self._lock:
            too_many = max(0, len(self._opened) - MOST_OPEN)
            unused = [resource for resource, opened in self._opened.items() if self._is_unused(opened)][:too_many]
            self._former += [self._opened.pop(resource) for resource in unused]
            for opened in [opened for opened in self._former if self._is_unused(opened)]:
                opened.image.close()
                self._former.remove(opened)

    def _is_unused(self, opened: _Opened) -> bool:
        return not opened.users and not self.preparation.uses(opened.image)


def content_key(info: ImageInfo, contents: tuple[str, ...]) -> str:
    """
    Name the voxels of an image: 32 hexadecimal digits that are others when a file of it is.

    Args:
        info: The image.
        contents: What names the content of each of its files.
    """
    import xxhash

    stated = [_LAYOUT, info.encoding, info.size, info.pixel_type.value, info.kind, contents]
    return xxhash.xxh3_128_hexdigest(json.dumps(stated).encode())
