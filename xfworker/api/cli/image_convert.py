"""``xfworker image convert``: an image file as one of another format, encoding or pixel type."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from xfworker.api.cli.console import messages, print_json, results
from xfworker.api.cli.image_facts import image_document
from xfworker.api.cli.image_options import name_assumptions, name_losses, pixel_type_named, progress_bar


def convert(
    source: Path,
    target: Path,
    *,
    encoding: str | None = None,
    pixel_type: Annotated[str | None, Parameter(name=["--pixel-type", "--type"])] = None,
    spacing: tuple[float, float, float] | None = None,
    deidentify: bool = False,
    json: bool = False,
) -> int:
    """
    Convert an image file to the format that the target's suffix asks for.

    Values never change; a type that cannot hold them is refused. Header and processing log of an AIM are kept through
    OMNI and back. Volumes larger than memory are converted block after block.

    Exit code 0: done; 1: it could not be; 2: called wrongly.
    Example: `xfworker image convert slices/ scan.AIM --spacing 0.01 0.01 0.01`

    Args:
        source: The image file or folder; its format is recognised by content.
        target: The file to write, such as scan.omni, scan.AIM, scan.ISQ, mask.gobj or scan.nii.
        encoding: How to store pixels, in the target format's words: int16, binCmp, charCmp, bit8, vaxF, ... for AIM.
        pixel_type: The number type to convert to: uint8 ... float64. Fractions are rounded to the nearest integer.
        spacing: Distance between voxels along x y z in mm, where the source does not state it or states it wrongly.
        deidentify: Leave out patient name and indices, and say what was left out.
        json: Print one JSON document on stdout.
    """
    from xfworker.api.composition.image_formats import image_formats
    from xfworker.services.images.conversion import convert as converted

    with progress_bar(f"converting {source.name}", quiet=json) as progress:
        done = converted(
            image_formats(),
            source,
            target,
            encoding=encoding,
            pixel_type=None if pixel_type is None else pixel_type_named(pixel_type),
            without_person=deidentify,
            spacing_mm=spacing,
            progress=progress,
        )
    files = [str(path) for path in done.target.files]
    name_assumptions(done.source)
    name_losses(target, done.losses)
    if json:
        print_json(
            {
                "files": files,
                "removed": list(done.removed),
                "assumptions": list(done.source.assumptions),
                "losses": list(done.losses),
                "image": image_document(done.target, None),
            }
        )
        return 0
    console = results()
    for path in files:
        console.print(path, markup=False, soft_wrap=True)
    if deidentify:
        for item in done.removed or ("nothing: it has no name or index",):
            messages().print(f"removed {item}", markup=False)
    return 0
