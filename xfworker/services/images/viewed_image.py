"""An image that people look at: tiles of its planes at several levels, from what is there by now."""

import math
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal

from xfworker.domain.errors import ChecksumMismatch, FileNotInStore, NotEnoughSpace, ServerBusy, UsageError
from xfworker.domain.files import Resource
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pyramid import Level, levels_of, voxel_count
from xfworker.ports.brick_store import BrickStore
from xfworker.ports.image_codec import PixelReader
from xfworker.services.images.bricks import BRICK, BrickVolume, RecentBricks
from xfworker.services.images.callers_names import CallersNames
from xfworker.services.images.pictures import Window, window_of
from xfworker.services.images.pyramid_building import PyramidBuilder
from xfworker.services.images.slices import AXES_OF_PLANE, Axis, axes_shown
from xfworker.services.images.volume import Volume

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

TILE: Final = 256
"""Pixels along each edge of a tile; those at the far ends of a plane are smaller."""

IMAGE: Final = "image"
"""The source of tiles that are read from the image itself: of coarse levels, every so many voxels one."""
SAMPLED: Final = "sampled"
"""The source of the coarsest level before the pyramid is there: every so many voxels one."""
BRICKS: Final = "bricks"
"""The source of tiles from the pyramid: means, of labels the commonest."""

State = Literal["waiting", "building", "complete", "failed"]

_TRY_AGAIN_SECONDS: Final = 1.0


class ViewedImage:
    """
    An open image with its levels; safe for threads.

    Attributes:
        info: What the image is.
        key: Names the content: another content has another key.
        files: Its files in the store.
        names: What its files are called to whoever looks at it.
        levels: The levels of its pyramid, finest first.
        state: How far the pyramid is.
        progress: The part of it that is built, 0 to 1.
        reason: Why it could not be built, or None.
    """

    def __init__(
        self,
        reader: PixelReader,
        key: str,
        store: BrickStore,
        recent: RecentBricks,
        files: Sequence[Resource] = (),
        names: CallersNames | None = None,
    ) -> None:
        """
        Take an open image, which is closed with this.

        Raises:
            UsageError: It has axes other than those of space.
        """
        self.info: ImageInfo = reader.info
        self.key = key
        self.files = tuple(files)
        self.names = names or CallersNames()
        self.state: State = "waiting"
        self.progress = 0.0
        self.reason: str | None = None
        self._volume = Volume(reader)
        self._store = store
        self._recent = recent
        self.levels = levels_of(self._volume.size)
        self._stored = store.pyramid(key)
        self._sampled = self._bricks(f"{SAMPLED}-{len(self.levels) - 1}", self.levels[-1])
        self._pyramid: list[BrickVolume] = []
        self._window: Window | None = None
        self._lock = Lock()

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The type of the voxels."""
        return self._volume.dtype

    @property
    def is_prepared(self) -> bool:
        """Whether nothing is left to build."""
        return self.state in ("complete", "failed")

    def close(self) -> None:
        """Let go of the file."""
        self._volume.close()

    # --- what can be seen by now -----------------------------------------------------------------------------------

    def sources(self, axis: Axis) -> list[str | None]:
        """
        Give where the tiles of planes across an axis come from by now, for each level; None where there are none yet.

        Of an image whose pixels are not raw only slices along z are cheap. A plane along x would read all of any.
        """
        return [self._source(axis, level) for level in self.levels]

    def _source(self, axis: Axis, level: Level) -> str | None:
        if axis not in axes_shown(self.info):
            return None
        if self._volume_of(level) is not None:
            return self._pyramid_source
        if self._is_read_directly(axis):
            return IMAGE
        return SAMPLED if level is self.levels[-1] and self._sampled.is_complete else None

    @property
    def _first(self) -> int:
        return len(self.levels) - len(self._pyramid)

    @property
    def _pyramid_source(self) -> str:
        # What is made from the image by fours may be rounded otherwise than what is made by twos twice.
        return BRICKS if self._first <= 1 else f"{BRICKS}-{self._first}"

    def _volume_of(self, level: Level) -> BrickVolume | None:
        pyramid = self._pyramid  # another thread may begin anew meanwhile
        at = level.number - (len(self.levels) - len(pyramid))
        return pyramid[at] if self.state == "complete" and at >= 0 else None

    def window(self) -> Window | None:
        """Give the raw values that are black and white at first, from the middle slice; None for segments."""
        if self.info.kind == "segments":
            return None
        with self._lock:
            if self._window is None:
                level = self.levels[-1]
                middle = self.levels[0].size[2] // 2
                _, rows, columns = self._steps(level)
                self._window = window_of(self._volume.box(range(middle, middle + 1), rows, columns))
            return self._window

    # --- tiles -----------------------------------------------------------------------------------------------------

    def tile(self, source: str, axis: Axis, level: int, index: int, row: int, column: int) -> "Pixels":
        """
        Give one tile of a plane.

        Args:
            source: Where it comes from, as ``sources`` has it.
            axis: What the plane is orthogonal to.
            level: The level.
            index: Where on that axis, in voxels of the level.
            row: Which tile downwards, from 0.
            column: Which tile to the right, from 0.

        Returns:
            Raw values, at most :data:`TILE` along each edge: ``(y, x)`` for z, ``(z, x)`` for y, ``(z, y)`` for x.

        Raises:
            UsageError: There is no such tile, or no such source of it.
            ServerBusy: The pyramid was dropped or damaged meanwhile; it is built anew.
        """
        if not 0 <= level < len(self.levels):
            raise UsageError(f"{self.info.path.name} has levels 0 to {len(self.levels) - 1}, not {level}.")
        chosen = self.levels[level]
        sizes = dict(zip("xyz", chosen.size, strict=True))
        down, right = AXES_OF_PLANE[axis]
        ranges = {
            axis: range(index, index + 1),
            down: range(row * TILE, min((row + 1) * TILE, sizes[down])),
            right: range(column * TILE, min((column + 1) * TILE, sizes[right])),
        }
        if not (0 <= index < sizes[axis] and row >= 0 and column >= 0 and ranges[down] and ranges[right]):
            raise UsageError(
                f"{self.info.path.name} has no tile {row}, {column} of plane {index} across {axis} at level {level}."
            )
        offered = self._offered(axis, chosen)
        if source not in offered:
            raise UsageError(
                f"{self.info.path.name} has no tiles of source {source[:40]!a} across {axis} at level {level}; ask for"
                " its description again."
            )
        box = self._box(offered[source], chosen, ranges["z"], ranges["y"], ranges["x"])
        return box.reshape(len(ranges[down]), len(ranges[right]))

    def chunk(self, level: int, z: int, y: int, x: int) -> "Pixels":
        """
        Give one cube of :data:`~xfworker.services.images.bricks.BRICK` voxels, as a chunk of a zarr array.

        Args:
            level: The level.
            z: Which chunk along z.
            y: Which along y.
            x: Which along x.

        Returns:
            The voxels ``(z, y, x)``; fewer at the far ends of the volume.

        Raises:
            UsageError: There is no such chunk.
            ServerBusy: The pyramid is not there (yet).
        """
        if not 0 <= level < len(self.levels):
            raise UsageError(f"{self.info.path.name} has levels 0 to {len(self.levels) - 1}, not {level}.")
        chosen = self.levels[level]
        ranges = [
            range(place * BRICK, min((place + 1) * BRICK, count))
            for place, count in zip((z, y, x), chosen.shape, strict=True)
        ]
        if min(z, y, x) < 0 or not all(ranges):
            raise UsageError(f"{self.info.path.name} has no chunk {z}/{y}/{x} at level {level}.")
        return self.box(level, *ranges)

    def box(self, level: int, slices: range, rows: range, columns: range) -> "Pixels":
        """
        Give some voxels of a level, ``(z, y, x)``.

        Raises:
            ServerBusy: The pyramid is not there (yet).
        """
        chosen = self.levels[level]
        volume = self._volume_of(chosen)
        if volume is None and not self._has_raw_chunks(level):
            raise self.not_prepared()
        return self._box(volume, chosen, slices, rows, columns)

    def has_chunks(self, level: int) -> bool:
        """Return whether a level can be read in chunks by now: from the pyramid, the finest also from raw pixels."""
        return self._volume_of(self.levels[level]) is not None or self._has_raw_chunks(level)

    def _has_raw_chunks(self, level: int) -> bool:
        return level == 0 and self._volume.has_boxes

    def not_prepared(self) -> ServerBusy:
        """Give the error that says what the pyramid waits for."""
        name = self.info.path.name
        if self.state == "failed":
            return ServerBusy(f"{name} could not be prepared for viewing: {self.reason}", retry_after_seconds=60)
        return ServerBusy(
            f"{name} is being prepared for viewing ({self.progress:.0%}); try again in a moment",
            retry_after_seconds=_TRY_AGAIN_SECONDS,
        )

    def _offered(self, axis: Axis, level: Level) -> dict[str, BrickVolume | None]:
        """
        Give every source of a level's planes with its bricks, the image itself with None.

        Who looks on while the pyramid is completed asks for the former.
        """
        if axis not in axes_shown(self.info):
            return {}
        offered: dict[str, BrickVolume | None] = {IMAGE: None} if self._is_read_directly(axis) else {}
        if level is self.levels[-1] and self._sampled.is_complete:
            offered[SAMPLED] = self._sampled
        volume = self._volume_of(level)
        if volume is not None:
            offered[self._pyramid_source] = volume
        return offered

    def _is_read_directly(self, axis: Axis) -> bool:
        return axis == "z" or (axis == "y" and self._volume.has_boxes)

    def _box(self, volume: BrickVolume | None, level: Level, slices: range, rows: range, columns: range) -> "Pixels":
        if volume is None:
            steps = zip((slices, rows, columns), level.factors[::-1], strict=True)
            z, y, x = (range(part.start * by, (part.stop - 1) * by + 1, by) for part, by in steps)
            return self._volume.box(z, y, x)
        try:
            return volume.box(slices, rows, columns)
        except (FileNotInStore, ChecksumMismatch):
            self.begin_anew()
            raise self.not_prepared() from None

    # --- preparing, by one thread ----------------------------------------------------------------------------------

    def sample(self, pause: Callable[[], None]) -> None:
        """
        Read every so many voxels one, so that planes along x are shown soon; what is there already stays.

        Args:
            pause: Called between slices; it may raise to end.

        Raises:
            NotEnoughSpace: The disk is full.
            ImageFormatError: The image is shorter or otherwise than its header says.
        """
        level, volume = self.levels[-1], self._sampled
        slices, rows, columns = self._steps(level)
        for layer in range(volume.layers):
            if not volume.has_layer(layer):
                some = slices[layer * BRICK : (layer + 1) * BRICK]
                volume.write_layer(layer, iter([self._stacked(some, rows, columns, pause)]))

    def build(self, pause: Callable[[float], None]) -> None:
        """
        Build what is missing of the pyramid.

        Args:
            pause: Called after each piece of work, with the part that is done; it may raise to end.

        Raises:
            NotEnoughSpace: There is no room for even a coarse one.
            ImageFormatError: The image is shorter or otherwise than its header says.
        """
        first = self._finest_with_room()
        levels = self.levels[first:]
        suffix = "" if first <= 1 else f"-of-{first}"
        volumes = [self._bricks(f"{level.number}{suffix}", level) for level in levels]
        self.state = "building"

        def went_on(part: float) -> None:
            self.progress = part
            pause(part)

        PyramidBuilder(self._volume, levels, volumes, self.info.kind == "segments").build(went_on)
        self._pyramid = volumes
        self.state, self.progress = "complete", 1.0

    def begin_anew(self) -> None:
        """Forget how far the pyramid was; layers that are there stay, and need not be built again."""
        self.state, self.progress, self.reason, self._pyramid = "waiting", 0.0, None, []

    def fail(self, reason: str) -> None:
        """Record why the pyramid cannot be built; what does not need it is still shown."""
        self.state, self.reason = "failed", self.names.text(reason)

    def _finest_with_room(self) -> int:
        for level in self.levels:
            needed = voxel_count(self.levels[level.number :]) * self.dtype.itemsize
            available = self._store.make_room(self.key, needed)
            if available >= needed:
                return level.number
        raise NotEnoughSpace(
            f"its smallest copy has {needed} bytes, and copies of images for viewing may have {available}"
        )

    def _bricks(self, name: str, level: Level) -> BrickVolume:
        return BrickVolume(self.key, self._stored, name, level.size, self._volume.dtype, self._recent)

    def _steps(self, level: Level) -> Sequence[range]:
        """Give the voxels of the image that stand for those of a level, along z, y and x."""
        return [
            range(0, count * factor, factor) for count, factor in zip(level.shape, level.factors[::-1], strict=True)
        ]

    def _stacked(self, slices: range, rows: range, columns: range, pause: Callable[[], None]) -> "Pixels":
        import numpy as np

        box: Pixels = np.empty((len(slices), len(rows), len(columns)), self.dtype)
        for plane, z in zip(box, slices, strict=True):
            plane[...] = self._volume.box(range(z, z + 1), rows, columns)[0]
            pause()
        return box


def tiles_along(count: int) -> int:
    """Give how many tiles hold so many pixels of one edge of a plane."""
    return math.ceil(count / TILE)
