"""``xfworker image slice``: orthogonal slices as pictures."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from xfworker.api.cli.console import print_json, results
from xfworker.api.cli.image_options import check_picture, name_assumptions, progress_bar
from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo

if TYPE_CHECKING:
    from xfworker.services.images.pictures import ChooseWindow


def cut(
    path: Path,
    picture: Path,
    *,
    axis: Literal["x", "y", "z", "all"] = "z",
    index: int | None = None,
    window: str = "0.5%:99.5%",
    unit: str | None = None,
    overlay: Path | None = None,
    annotate: bool | None = None,
    json: bool = False,
) -> int:
    """
    Write an orthogonal slice, or a montage of three, as a PNG in true proportions.

    Of raw pixels only what is shown is read, but for slices along x. Segments have the colours of their labels; 0 is
    transparent.

    Exit code 0: done; 1: it could not be; 2: called wrongly.
    Example: `xfworker image slice scan.AIM all.png --axis all --overlay bone.omni`

    Args:
        path: The image file or folder.
        picture: The PNG file to write.
        axis: The axis that the slice is orthogonal to; all for the three middle slices side by side.
        index: Where on that axis, from the end when negative; the middle by default.
        window: The values that become black and white: percentiles of the slice (0.5%:99.5%) or values (0:1200).
        unit: What the window's values are stated in, such as Density or HU; raw values by default.
        overlay: Segments to lay over the slice in colours; they are placed by their origin.
        annotate: Write around the picture where its sides point to, and a scale bar in mm; only with --axis all unless
            stated.
        json: Print one JSON document on stdout.
    """
    from xfworker.adapters.images.png import write_png
    from xfworker.api.composition.image_formats import image_formats
    from xfworker.services.images import pictures
    from xfworker.services.images.annotations import annotated
    from xfworker.services.images.conversion import check_apart

    if axis == "all" and index is not None:
        raise UsageError("--index goes with one axis; --axis all shows the middle of each.")
    formats = image_formats()
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(formats.reader(path))
        image = reader.info
        check_apart(image, [picture])
        above = None if overlay is None else stack.enter_context(formats.reader(overlay))
        if above is not None:
            check_apart(above.info, [picture])
        check_picture(picture)
        choose = window_choice(image, window, unit)
        progress = stack.enter_context(progress_bar(f"reading {path.name}", quiet=json))
        views = (
            pictures.montage_views(reader, choose=choose, overlay=above, progress=progress)
            if axis == "all"
            else [pictures.slice_view(reader, axis, index, choose=choose, overlay=above, progress=progress)]
        )
    if annotate or (annotate is None and axis == "all"):
        view = annotated(views, image)
    else:
        view = pictures.side_by_side(views) if len(views) > 1 else views[0]
    name_assumptions(image)
    write_png(picture, view.pixels, pixel_mm=view.pixel_mm)
    if json:
        rows, columns = view.pixels.shape[:2]
        limits = None if view.window is None else [view.window.low, view.window.high]
        print_json({"file": str(picture), "size": [columns, rows], "pixel_mm": view.pixel_mm, "window": limits})
    else:
        results().print(str(picture), markup=False, soft_wrap=True)
    return 0


def window_choice(image: ImageInfo, text: str, unit: str | None) -> "ChooseWindow":
    """
    Give how the window of a picture is chosen, as a command's option says.

    Args:
        image: The image that is shown.
        text: Two values or two percentiles of what is shown: ``0:1200`` or ``0.5%:99.5%``.
        unit: What values are stated in; None for raw ones.

    Raises:
        UsageError: The text is malformed.
        ImageError: The image has no calibration to the unit.
    """
    from xfworker.services.images.pictures import Window, window_of

    low, colon, high = text.partition(":")
    try:
        if not colon:
            raise ValueError(text)  # noqa: TRY301 - the two ways of being malformed are reported in one sentence
        limits = [float(part.strip().removesuffix("%")) for part in (low, high)]
    except ValueError:
        raise UsageError(f"A window is two values or two percentiles, 0:1200 or 0.5%:99.5%; got {text!r}.") from None
    if low.strip().endswith("%") != high.strip().endswith("%"):
        raise UsageError(f"Both ends of a window are values, or both are percentiles; got {text!r}.")
    if low.strip().endswith("%"):
        if not 0 <= limits[0] < limits[1] <= 100:  # noqa: PLR2004 - per cent
            raise UsageError(f"The percentiles of a window rise within 0 to 100; got {text!r}.")
        return lambda values: window_of(values, *limits)
    if not limits[0] < limits[1]:
        raise UsageError(f"The window {text!r} does not rise.")
    if unit is not None:
        line = image.calibration(unit)
        limits = [float(line.calibrated_to_raw(limit)) for limit in limits]
    window = Window(*limits)
    return lambda _values: window
