"""What the commands about images share: arguments with a meaning, progress, and what an image file does not state."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from xfworker.api.cli.console import messages
from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType

if TYPE_CHECKING:
    from xfworker.services.images.conversion import SliceProgress


def check_picture(path: Path) -> None:
    """
    Check that a picture can be written under a name.

    Raises:
        UsageError: Its suffix asks for another format.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path} would not be what its name says: pictures are written as PNG; call it .png.")


def pixel_type_named(name: str) -> PixelType:
    """
    Give a pixel type by its name.

    Raises:
        UsageError: There is none of this name.
    """
    pixel_type = next((member for member in PixelType if member.value == name), None)
    if pixel_type is None:
        raise UsageError(f"{name!r} is not a pixel type; known are {', '.join(member.value for member in PixelType)}.")
    return pixel_type


def name_assumptions(image: ImageInfo) -> None:
    """Say on stderr what an image file does not state."""
    for assumption in image.assumptions:
        messages().print(f"{image.path.name}: {assumption}", markup=False, soft_wrap=True)


def name_losses(target: Path, losses: Iterable[str]) -> None:
    """Say on stderr what a file does not hold of the image that was written to it."""
    for loss in losses:
        messages().print(f"not in {target.name}: {loss}", markup=False, soft_wrap=True)


@contextlib.contextmanager
def progress_bar(title: str, *, quiet: bool) -> "Iterator[SliceProgress | None]":
    """Show progress on stderr where that is a terminal."""
    console = messages()
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import Progress as Bar

    with Bar(console=console, transient=True) as bar:
        task = bar.add_task(title.replace("[", "\\["), total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show
