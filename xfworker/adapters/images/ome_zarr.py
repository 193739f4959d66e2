"""
OME-Zarr: an image as a group of zarr arrays, one per resolution, by zarr.

Versions 0.4 (zarr 2) and 0.5 (zarr 3) of the NGFF specification (ngff.openmicroscopy.org) are read, at full resolution;
0.5 is written.
"""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from xfworker.adapters.images.carried_metadata import KEY, with_carried
from xfworker.adapters.images.extras import reader_library
from xfworker.adapters.images.opening import read_whole
from xfworker.adapters.images.raw_pixels import SlabReader
from xfworker.adapters.images.zarr_array import DIRECTION, ZarrWriter, chunks_of, stated_direction, zarr_box
from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage
from xfworker.domain.image.description import ImageInfo, Triple
from xfworker.domain.image.length_units import MILLIMETRE, LengthUnit, length_unit
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.image.pyramid import levels_of, ngff_image
from xfworker.services.images.downsampling import shrunk

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_MOST_METADATA_BYTES: Final = 64 << 20
_SPACE: Final = ("z", "y", "x")
_TILE: Final = 256
"""Voxels along each axis of what is read at once to make the next level."""


class OmeZarrCodec:
    """The ``ImageCodec`` of OME-Zarr images."""

    name = "OME-Zarr"
    suffixes: tuple[str, ...] = (".ome.zarr",)
    encodings: tuple[str, ...] = ("zarr",)

    def recognises(self, path: Path, _head: bytes, /) -> bool:
        """Return whether the folder is a zarr group that says it has several scales of one image."""
        try:
            return path.is_dir() and _multiscales(_attributes(path)) is not None
        except ImageError:
            return False

    def describe(self, path: Path) -> ImageInfo:
        """Read the group's metadata; see the port."""
        return _described(path)[0]

    def reader(self, path: Path) -> "OmeZarrReader":
        """Open the array of full resolution; see the port."""
        return OmeZarrReader(*_described(path))

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> "OmeZarrWriter":
        """Begin a group in a folder that does not exist yet; see the port."""
        if encoding not in (None, "zarr"):
            raise UnsupportedImage(f"{path}: OME-Zarr has encodings of its own, not {encoding}.")
        if image.axes not in ("XY", "XYZ"):
            raise UnsupportedImage(f"{path}: OME-Zarr is written from axes XYZ, not {image.axes}.")
        return OmeZarrWriter(path, image, OmeZarrCodec.name)


def _attributes(path: Path) -> Mapping[str, Any]:
    """Give the attributes of a zarr group of either version; none where it is not one."""
    for name in ("zarr.json", ".zattrs"):
        if not (path / name).is_file():
            continue
        try:
            document = json.loads(read_whole(path / name, _MOST_METADATA_BYTES))
        except (ValueError, RecursionError) as error:
            raise ImageFormatError(f"no JSON: {error}.", path=path / name, field="metadata") from None
        if name == "zarr.json":
            document = document.get("attributes") if isinstance(document, dict) else None
        return document if isinstance(document, dict) else {}
    return {}


def _multiscales(attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Give the first image's entry: in 0.5 below ``ome``, before at the top."""
    ome = attributes.get("ome")
    stated = (ome if isinstance(ome, dict) else attributes).get("multiscales")
    first = stated[0] if isinstance(stated, list) and stated else None
    return first if isinstance(first, dict) else None


def _described(path: Path) -> tuple[ImageInfo, Any, int]:
    """Give the image, its array of full resolution, and how many axes of one pixel come before those of space."""
    zarr = reader_library("zarr", path, "an OME-Zarr image")
    attributes = _attributes(path)
    scales = _multiscales(attributes)
    if scales is None:
        raise ImageFormatError("has no multiscales.", path=path, field="multiscales")
    level, names, units = _level(path, scales)
    try:
        array = zarr.open_array(str(path / level["path"]), mode="r")
        shape = tuple(int(count) for count in array.shape)
        pixel_type = PixelType.of_numpy_code(array.dtype.str)
    except Exception as error:  # zarr raises several classes of its own
        raise ImageFormatError(
            f"zarr cannot read level {level['path']!r} as an array: {error!r:.200}.", path=path, field="datasets"
        ) from error
    if len(names) != len(shape):
        raise ImageFormatError(f"names {len(names)} axes of {len(shape)}.", path=path, field="axes")
    before = _check_axes(path, names, shape)
    if pixel_type is None or min(shape) < 1:
        raise UnsupportedImage(f"{path}: an array of type {array.dtype} and shape {shape} is not read.")
    (spacing, origin), assumptions = _lengths(path, scales, level, names, units)
    kind = attributes.get("ome") if isinstance(attributes.get("ome"), dict) else attributes
    is_labels = isinstance(kind, dict) and "image-label" in kind
    info = ImageInfo(
        path=path,
        format=OmeZarrCodec.name,
        format_version=_version(attributes, scales),
        encoding="zarr",
        kind="segments" if is_labels else "image",
        axes="XYZ"[: len(shape) - before],
        size=shape[before:][::-1],
        pixel_type=pixel_type,
        pixels_path=path,
        spacing_mm=spacing,
        origin_mm=origin,
        direction=stated_direction(attributes.get(DIRECTION)),
        header={"level": level["path"], "levels": len(scales["datasets"]), "chunks": list(array.chunks)},
        files=(path,),
        assumptions=assumptions,
    )
    return with_carried(info, json.dumps({KEY: attributes.get(KEY)}, default=str)), array, before


def _version(attributes: Mapping[str, Any], scales: Mapping[str, Any]) -> str | None:
    ome = attributes.get("ome")
    stated = ome.get("version") if isinstance(ome, dict) else scales.get("version")
    return str(stated) if stated is not None else None


def _level(path: Path, scales: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str], list[str | None]]:
    """Give the level of full resolution, which is the first, and the names and units of the axes."""
    datasets = scales.get("datasets")
    first = datasets[0] if isinstance(datasets, list) and datasets else None
    name = first.get("path") if isinstance(first, dict) else None
    if not isinstance(first, dict) or not isinstance(name, str) or not name:
        raise ImageFormatError("names no array.", path=path, field="datasets")
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
        raise ImageFormatError(f"{name[:80]!r} leads out of the folder.", path=path, field="datasets")
    axes = scales.get("axes")
    axes = ["t", "c", "z", "y", "x"] if axes is None else axes  # version 0.1 and 0.2
    if not isinstance(axes, list):
        raise ImageFormatError(f"expected a list, got {axes!r:.80}.", path=path, field="axes")
    names: list[str] = []
    units: list[str | None] = []
    for axis in axes:
        stated = {"name": axis} if isinstance(axis, str) else axis
        if not isinstance(stated, dict) or not isinstance(stated.get("name"), str):
            raise ImageFormatError(f"{axis!r:.80} has no name.", path=path, field="axes")
        unit = stated.get("unit")
        names.append(stated["name"].lower())
        units.append(unit if isinstance(unit, str) and unit else None)
    return first, names, units


def _check_axes(path: Path, names: Sequence[str], shape: Sequence[int]) -> int:
    """Give how many axes come before those of space, each of one pixel."""
    space = [name for name in names if name in _SPACE]
    before = len(names) - len(space)
    if tuple(names[before:]) not in (_SPACE, _SPACE[1:]):
        raise UnsupportedImage(f"{path}: axes {', '.join(names)} are not read; the last are to be z, y, x or y, x.")
    for name, count in zip(names[:before], shape[:before], strict=True):
        if count != 1:
            raise UnsupportedImage(
                f"{path} has {count} pixels along {name}; images with one channel and one time are read. Take one out"
                " with zarr, and write it as an image of its own."
            )
    return before


def _lengths(
    path: Path,
    scales: Mapping[str, Any],
    level: Mapping[str, Any],
    names: Sequence[str],
    units: Sequence[str | None],
) -> tuple[tuple[Triple, Triple], tuple[str, ...]]:
    """Give spacing and origin in mm, and what the file does not state of them."""
    scale, translation = [1.0] * len(names), [0.0] * len(names)
    is_stated = False
    for transformations in (level.get("coordinateTransformations"), scales.get("coordinateTransformations")):
        for one in transformations if isinstance(transformations, list) else ():
            kind = one.get("type") if isinstance(one, dict) else None
            if kind == "identity":
                continue
            if kind not in ("scale", "translation"):
                raise UnsupportedImage(f"{path}: a transformation of type {kind!r} is not read.")
            numbers = _numbers(path, one.get(kind), len(names))
            if kind == "scale":
                is_stated = True
                scale = [old * new for old, new in zip(scale, numbers, strict=True)]
                translation = [old * new for old, new in zip(translation, numbers, strict=True)]
            else:
                translation = [old + new for old, new in zip(translation, numbers, strict=True)]
    spacing, origin = dict.fromkeys(_SPACE, 1.0), dict.fromkeys(_SPACE, 0.0)
    assumptions: list[str] = [] if is_stated else ["states no spacing; 1 mm is taken"]
    for name, unit_name, step, start in zip(names, units, scale, translation, strict=True):
        if name not in _SPACE:
            continue
        if unit_name is None and is_stated:
            assumptions.append(f"states no unit of length along {name}; mm are taken")
        unit: LengthUnit = MILLIMETRE if unit_name is None else length_unit(unit_name, path, "axes")
        if step <= 0:
            raise ImageFormatError(f"a scale of {step} along {name} cannot be right.", path=path, field="scale")
        spacing[name], origin[name] = unit.mm(step), unit.mm(start)
    placement = (spacing["x"], spacing["y"], spacing["z"]), (origin["x"], origin["y"], origin["z"])
    return placement, tuple(assumptions)


def _numbers(path: Path, stated: Any, count: int) -> list[float]:
    numbers = stated if isinstance(stated, list) else []
    usable = all(isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in numbers)
    if len(numbers) != count or not usable:
        raise ImageFormatError(
            f"expected {count} finite numbers, got {stated!r:.80}.", path=path, field="coordinateTransformations"
        )
    return [float(one) for one in numbers]


class OmeZarrReader(SlabReader):
    """Reads ranges of the array of full resolution."""

    def __init__(self, info: ImageInfo, array: Any, before: int) -> None:
        super().__init__(info)
        self._array, self._before = array, before

    def read_box(self, slices: range, rows: range, columns: range) -> "Pixels":
        """Read some voxels of the image seen as a volume, and no chunk besides; see ``BoxReader``."""
        return zarr_box(self.info, self._array, (0,) * self._before, (slices, rows, columns))

    def _read_into(self, start: int, out: "Pixels") -> None:
        try:
            out[...] = self._array[(*[0] * self._before, slice(start, start + len(out)))]
        except Exception as error:  # zarr and its codecs raise several classes
            raise ImageFormatError(f"zarr cannot read its chunks: {error!r:.200}.", path=self.info.path) from error


class OmeZarrWriter(ZarrWriter):
    """Writes the array of full resolution, and in the end a pyramid of halved ones from it, tile after tile."""

    def _created(self, zarr: Any, image: ImageInfo, notes: Mapping[str, Any]) -> Any:
        self._notes = notes
        self._group = zarr.create_group(str(self._folder.partial))
        return self._level(0, image.shape, image.pixel_type.numpy_code())

    def _level(self, number: int, shape: Sequence[int], dtype: Any) -> Any:
        return self._group.create_array(
            str(number),
            shape=tuple(shape),
            dtype=dtype,
            chunks=chunks_of(shape, self.info.pixel_type.size),
            dimension_names=[letter.lower() for letter in reversed(self.info.axes)],
        )

    def _finish(self) -> None:
        levels = levels_of(self.info.size_3d)
        axes_count = self._array.ndim
        arrays = [self._array]
        for below, level in itertools.pairwise(levels):
            arrays.append(self._level(level.number, level.shape[3 - axes_count :], self._array.dtype))
            halving = below.halving_to(level)[::-1]
            self._shrink(arrays[below.number], arrays[level.number], halving[3 - axes_count :])
        axes = "".join(reversed(self.info.axes.lower()))
        self._group.attrs.update({"ome": ngff_image(self.info, levels, axes), **self._notes})
        super()._finish()

    def _shrink(self, below: Any, above: Any, halving: Sequence[int]) -> None:
        """Fill a level from the one below; both are seen as (z, y, x), where a flat image has one z."""
        is_labels = self.info.kind == "segments"
        factors = (1,) * (3 - len(halving)) + tuple(halving)
        flat = below.ndim < 3  # noqa: PLR2004 - x, y, z
        slices, rows, columns = (1, *above.shape) if flat else above.shape
        depth = 1 if flat else above.chunks[0]
        for z in range(0, slices, depth):
            for y in range(0, rows, _TILE):
                for x in range(0, columns, _TILE):
                    ends = (min(z + depth, slices), min(y + _TILE, rows), min(x + _TILE, columns))
                    target = tuple(slice(begin, end) for begin, end in zip((z, y, x), ends, strict=True))
                    source = tuple(
                        slice(part.start * factor, part.stop * factor)
                        for part, factor in zip(target, factors, strict=True)
                    )
                    cells = below[source[1:]][None] if flat else below[source]
                    tile = shrunk(cells, (factors[2], factors[1], factors[0]), is_labels=is_labels)
                    if flat:
                        above[target[1:]] = tile[0]
                    else:
                        above[target] = tile
