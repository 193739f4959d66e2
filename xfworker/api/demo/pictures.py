"""What the demonstration shows: planes of the phantom, and the bone that was found in it."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from xfworker.adapters.images.png import write_png
from xfworker.api.composition.image_formats import image_formats
from xfworker.services.images import pictures
from xfworker.services.images.annotations import annotated

PLANES, BONE = "phantom_planes.png", "phantom_bone.png"


def write_pictures(phantom: Path, segments: Path, folder: Path) -> dict[str, Path]:
    """
    Write the phantom and two pictures of it into a folder.

    Args:
        phantom: The image file.
        segments: The segments that the threshold made of it.
        folder: Where to.

    Returns:
        What each file shows, and the file.
    """
    copy = folder / phantom.name
    shutil.copyfile(phantom, copy)
    formats = image_formats()
    with ExitStack() as stack:
        reader = stack.enter_context(formats.reader(phantom))
        above = stack.enter_context(formats.reader(segments))
        for name, overlay in ((PLANES, None), (BONE, above)):
            view = annotated(pictures.montage_views(reader, overlay=overlay), reader.info)
            write_png(folder / name, view.pixels, pixel_mm=view.pixel_mm)
    return {
        "the phantom, an image to try things on": copy,
        "its three middle planes": folder / PLANES,
        "the same with the bone that was found": folder / BONE,
    }


def show_in_terminal(picture: Path, columns: int, show: Callable[[object], None]) -> None:
    """
    Draw a picture with coloured half blocks, two pixels to a character.

    Args:
        picture: The PNG file.
        columns: The terminal's width.
        show: Prints something that rich can print.
    """
    from PIL import Image
    from rich_pixels import Pixels

    with Image.open(picture) as image:
        colours = image.convert("RGB")
        width = min(columns, colours.width)
        show(Pixels.from_image(colours.resize((width, round(width * colours.height / colours.width)))))
