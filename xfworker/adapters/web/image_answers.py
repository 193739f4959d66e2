"""Answers about images: what one is, the names of its tiles, and how long they are kept."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from attrs import define
from litestar import Response

from xfworker.adapters.wire.byte_range import is_unmodified
from xfworker.domain.errors import FileNotInStore, UsageError
from xfworker.domain.files import Resource
from xfworker.services.images.image_difference import ImageDifference
from xfworker.services.images.pictures import LABEL_COLOURS
from xfworker.services.images.registered_image import RegisteredImage
from xfworker.services.images.slices import Axis, axes_shown
from xfworker.services.images.viewed_image import TILE, ViewedImage
from xfworker.services.images.virtual_ome_zarr import calibrations_of, little_endian

_FOR_EVER: Final = "private, max-age=31536000, immutable"
_TILE: Final = re.compile(r"([0-9a-f]{32})\.([a-z]+(?:-\d{1,2})?)\.([xyz])((?:\.\d{1,9}){4})", re.ASCII)


@define(frozen=True)
class TileName:
    """
    The name of a tile, which the image's description leads to.

    Attributes:
        key: The content that it is of.
        place: Source, axis, level, index, row and column.
    """

    key: str
    place: tuple[str, Axis, int, int, int, int]

    @classmethod
    def parse(cls, text: str) -> "TileName":
        """
        Read a name.

        Raises:
            UsageError: It is not the name of a tile.
        """
        parsed = _TILE.fullmatch(text)
        if parsed is None:
            raise UsageError(
                "a tile is named key.source.axis.level.index.row.column, as the image's description has them;"
                f" got {text[:80]!a}"
            )
        key, source, axis, numbers = parsed.groups()
        level, index, row, column = (int(number) for number in numbers[1:].split("."))
        return cls(key, (source, axis, level, index, row, column))  # type: ignore[arg-type]  # the axis was matched

    def require(self, key: str, resource: Resource) -> None:
        """
        Refuse a tile of another content than there is.

        Raises:
            FileNotInStore: The file has changed.
        """
        if key != self.key:
            raise FileNotInStore(f"{resource} has changed; ask for its description again")


def kept_headers(tile: str) -> dict[str, str]:
    """Give the headers of a tile, which never changes."""
    return {"Cache-Control": _FOR_EVER, "ETag": f'"{tile}"'}


def answer(body: bytes, media_type: str, headers: Mapping[str, str]) -> Response[bytes]:
    """Answer with some bytes."""
    return Response(content=body, media_type=media_type, headers=dict(headers))


def answer_tile(
    image: RegisteredImage | ImageDifference,
    tile: str,
    resource: Resource,
    unless: str | None,
    headers: Mapping[str, str],
) -> Response[bytes]:
    """
    Answer with a tile that is computed from two images, or that the caller's is still right.

    Args:
        image: What it is a tile of.
        tile: Its name.
        resource: The image that was asked for, for messages.
        unless: The entity tag that the caller has.
        headers: Header fields of every answer.

    Raises:
        UsageError: It is not the name of a tile.
        FileNotInStore: A file has changed.
    """
    name = TileName.parse(tile)
    name.require(image.key, resource)
    kept = {**headers, **kept_headers(tile)}
    if is_unmodified(unless, kept["ETag"]):
        return Response(content=b"", status_code=int(HTTPStatus.NOT_MODIFIED), headers=kept)
    return answer(little_endian(image.tile(*name.place)), "application/octet-stream", kept)


def answer_description(description: Mapping[str, Any], headers: Mapping[str, str]) -> Response[bytes]:
    """Answer with a description of an image that is computed from two, which is asked for again each time."""
    kept = {**headers, "Cache-Control": "private, no-cache"}
    return answer(msgspec.json.encode(description), "application/json", kept)


def levels_of(
    image: RegisteredImage | ImageDifference, grid: ViewedImage, described: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Give the levels of the image whose grid it has, out of that image's description, with its own sources."""
    sources = {axis: image.sources(axis) for axis in axes_shown(grid.info)}
    return [
        {**level, "sources": {axis: those[number] for axis, those in sources.items()}}
        for number, level in enumerate(described["levels"])
    ]


def describe(image: ViewedImage) -> dict[str, Any]:
    """Give what a viewer needs to know: sizes (x, y, z), lengths in mm, levels and what is there of them by now."""
    info = image.info
    window = image.window()
    sources = {axis: image.sources(axis) for axis in axes_shown(info)}
    return {
        "key": image.key,
        "name": info.path.name,
        "format": info.format,
        "encoding": info.encoding,
        "kind": info.kind,
        "axes": info.axes,
        "pixel_type": info.pixel_type.value,
        "size": list(info.size_3d),
        "spacing_mm": list(info.spacing_mm),
        "origin_mm": list(info.origin_mm),
        "direction": list(info.direction),
        "calibrations": calibrations_of(image),
        "default_unit_type": info.default_unit_type,
        "labels": [dict(label) for label in info.labels],
        "label_colours": [list(colour) for colour in LABEL_COLOURS],
        "assumptions": list(info.assumptions),
        "window": None if window is None else [window.low, window.high],
        "tile": TILE,
        "levels": [
            {
                "factors": list(level.factors),
                "size": list(level.size),
                "sources": {axis: those[level.number] for axis, those in sources.items()},
            }
            for level in image.levels
        ],
        "pyramid": {"state": image.state, "progress": round(image.progress, 4), "reason": image.reason},
    }
