"""``xfworker image threshold|crop|mask|downsample``: images made of others, block after block."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from xfworker.api.cli.console import print_json, results
from xfworker.api.cli.image_facts import image_document
from xfworker.api.cli.image_options import name_assumptions, name_losses, progress_bar

if TYPE_CHECKING:
    from xfworker.ports.image_codec import ImageFormats, PixelReader
    from xfworker.services.images.conversion import SliceProgress
    from xfworker.services.images.derivation import Derived

    Work = Callable[[ImageFormats, PixelReader, SliceProgress | None], Derived]


def threshold(
    source: Path,
    target: Path,
    *,
    lower: float | None = None,
    upper: float | None = None,
    unit: str | None = None,
    to: Literal["segments", "mask"] = "segments",
    label: str = "object",
    encoding: str | None = None,
    json: bool = False,
) -> int:
    """
    Write segments of what lies between two values, both included.

    Exit code 0: done; 1: it could not be; 2: called wrongly.
    Example: `xfworker image threshold scan.AIM bone.omni --lower 320 --unit Density`

    Args:
        source: The image file or folder.
        target: The file to write, such as bone.omni or bone.AIM.
        lower: The smallest value that belongs.
        upper: The largest value that belongs.
        unit: What the limits are stated in, such as Density or HU; raw values by default.
        to: segments have 1 in objects; a mask has 127, as IPL has it. An AIM is always a mask.
        label: What the objects are called.
        encoding: How to store pixels, in the target format's words; binCmp in an AIM by default.
        json: Print one JSON document on stdout.
    """
    from xfworker.services.images.thresholding import threshold as thresholded

    def work(formats: "ImageFormats", reader: "PixelReader", progress: "SliceProgress | None") -> "Derived":
        return thresholded(
            formats, reader, target, lower=lower, upper=upper, unit_type=unit, to=to, label=label, encoding=encoding,
            progress=progress,
        )  # fmt: skip

    return _changed(source, target, "thresholding", work, json=json)


def crop(
    source: Path,
    target: Path,
    *,
    pos: tuple[int, int, int] | None = None,
    size: tuple[int, int, int] | None = None,
    pos_mm: tuple[float, float, float] | None = None,
    size_mm: tuple[float, float, float] | None = None,
    encoding: str | None = None,
    json: bool = False,
) -> int:
    """
    Write a box of a volume (a VOI) that stays at its place: its origin, and the position in an AIM, are kept.

    Exit code 0: done; 1: it could not be; 2: called wrongly.
    Example: `xfworker image crop scan.AIM voi.AIM --pos 100 120 40 --size 256 256 128`

    Args:
        source: The image file or folder.
        target: The file to write.
        pos: The box's first voxel x y z, counted from the image's first one.
        size: Voxels along x y z; up to the image's end by default.
        pos_mm: Position x y z of the first voxel in mm, in the image's own coordinates; the nearest voxel is taken.
        size_mm: Edges along x y z in mm.
        encoding: How to store pixels, in the target format's words.
        json: Print one JSON document on stdout.
    """
    from xfworker.services.images.cropping import crop as cropped
    from xfworker.services.images.cropping import voi_of

    def work(formats: "ImageFormats", reader: "PixelReader", progress: "SliceProgress | None") -> "Derived":
        box = voi_of(reader.info, pos=pos, size=size, pos_mm=pos_mm, size_mm=size_mm)
        return cropped(formats, reader, target, box, encoding=encoding, progress=progress)

    return _changed(source, target, "cropping", work, json=json)


def mask(
    source: Path,
    mask: Path,
    target: Path,
    *,
    label: int | None = None,
    outside: float = 0.0,
    unit: str | None = None,
    encoding: str | None = None,
    json: bool = False,
) -> int:
    """
    Write an image with one value outside a mask; inside, nothing changes.

    Exit code 0: done; 1: it could not be; 2: called wrongly.
    Example: `xfworker image mask scan.AIM bone.AIM inside.AIM --outside -1000 --unit HU`

    Args:
        source: The image file or folder.
        mask: Segments or a mask, placed by its origin; it may cover a part of the image.
        target: The file to write.
        label: Only this label of the mask is inside; all that is not 0 by default.
        outside: The value of everything else.
        unit: What that value is stated in, such as Density or HU; a raw value by default.
        encoding: How to store pixels, in the target format's words.
        json: Print one JSON document on stdout.
    """
    from xfworker.services.images.masking import apply_mask

    def work(formats: "ImageFormats", reader: "PixelReader", progress: "SliceProgress | None") -> "Derived":
        with formats.reader(mask) as inside:
            return apply_mask(
                formats, reader, inside, target, label=label, outside=outside, unit_type=unit, encoding=encoding,
                progress=progress,
            )  # fmt: skip

    return _changed(source, target, "masking", work, json=json)


def downsample(
    source: Path,
    target: Path,
    *factors: int,
    encoding: str | None = None,
    json: bool = False,
) -> int:
    """
    Write a smaller copy for looking at: blocks of voxels become their mean, of labels the commonest one.

    Exit code 0: done; 1: it could not be; 2: called wrongly.
    Example: `xfworker image downsample scan.AIM small.AIM 4`

    Args:
        source: The image file or folder.
        target: The file to write.
        factors: Voxels that become one: one integer for all axes, or three for x y z.
        encoding: How to store pixels, in the target format's words.
        json: Print one JSON document on stdout.
    """
    from xfworker.services.images.downsampling import downsample as downsampled

    def work(formats: "ImageFormats", reader: "PixelReader", progress: "SliceProgress | None") -> "Derived":
        return downsampled(formats, reader, target, factors, encoding=encoding, progress=progress)

    return _changed(source, target, "downsampling", work, json=json)


def _changed(source: Path, target: Path, doing: str, work: "Work", *, json: bool) -> int:
    with _opened(source) as (formats, reader), progress_bar(f"{doing} {source.name}", quiet=json) as progress:
        made = work(formats, reader, progress)
        name_assumptions(reader.info)
    name_losses(target, made.losses)
    files = [str(path) for path in made.info.files]
    if json:
        document = {"files": files, "losses": list(made.losses), "image": image_document(made.info, None)}
        print_json(document)
        return 0
    for path in files:
        results().print(path, markup=False, soft_wrap=True)
    return 0


@contextlib.contextmanager
def _opened(source: Path) -> "Iterator[tuple[ImageFormats, PixelReader]]":
    from xfworker.api.composition.image_formats import image_formats

    formats = image_formats()
    with formats.reader(source) as reader:
        yield formats, reader
