"""``xfworker image statistics|histogram``: what values an image has, in all or inside a mask."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from xfworker.api.cli.console import print_json, results
from xfworker.api.cli.image_facts import print_facts, statistics_document, unit_document
from xfworker.api.cli.image_options import check_picture, name_assumptions, progress_bar
from xfworker.domain.errors import UsageError

if TYPE_CHECKING:
    from xfworker.ports.image_codec import PixelReader
    from xfworker.services.images.masking import Mask


def statistics(
    path: Path,
    *,
    mask: Path | None = None,
    label: int | None = None,
    unit: str | None = None,
    json: bool = False,
) -> int:
    """
    Show the statistics of an image's values, in all or inside a mask.

    Exit code 0: done; 1: it could not be; 2: called wrongly.
    Example: `xfworker image statistics scan.AIM --mask bone.AIM --unit Density`

    Args:
        path: The image file or folder.
        mask: Segments or a mask, placed by its origin; it may cover a part of the image.
        label: Only this label of the mask counts; all that is not 0 by default.
        unit: The unit to state values in, such as Density or HU; raw values and every calibration by default.
        json: Print one JSON document on stdout.
    """
    from xfworker.services.images.statistics import statistics as taken

    with _opened(path, mask, label) as (reader, inside):
        image = reader.info
        line = None if unit is None else image.calibration(unit)
        with progress_bar(f"reading {path.name}", quiet=json) as progress:
            counted = taken(reader, progress, mask=inside)
    name_assumptions(image)
    document = statistics_document(image, counted) if line is None else unit_document(line, counted)
    x, y, z = image.spacing_mm
    document["volume_mm3"] = counted.count * x * y * z
    if json:
        print_json(document)
    else:
        print_facts({"statistics": document})
    return 0


def histogram(
    path: Path,
    *targets: Path,
    bins: int = 256,
    lower: float | None = None,
    upper: float | None = None,
    unit: str | None = None,
    mask: Path | None = None,
    label: int | None = None,
    json: bool = False,
) -> int:
    """
    Count how often values occur, as a table (.csv) and as a picture (.png).

    Exit code 0: done; 1: it could not be; 2: called wrongly.
    Example: `xfworker image histogram scan.AIM counts.csv counts.png --unit Density --mask bone.AIM`

    Args:
        path: The image file or folder.
        targets: The files to write, .csv or .png; without any, the table goes to stdout.
        bins: How many bins of equal width.
        lower: Where the first bin begins; the smallest value by default.
        upper: Where the last bin ends; the largest value by default.
        unit: What values are stated in, such as Density or HU; raw values by default.
        mask: Segments or a mask, placed by its origin; only what is inside counts.
        label: Only this label of the mask counts; all that is not 0 by default.
        json: Print one JSON document on stdout.
    """
    from xfworker.adapters.images.png import png_bytes
    from xfworker.adapters.images.simple_writer import write_small_file
    from xfworker.services.images.conversion import check_apart
    from xfworker.services.images.histograms import histogram as counted

    for target in targets:
        if target.suffix.lower() != ".csv":
            check_picture(target)
    with _opened(path, mask, label) as (reader, inside):
        check_apart(reader.info, targets)
        with progress_bar(f"reading {path.name}", quiet=json) as progress:
            counts = counted(
                reader, bins=bins, lower=lower, upper=upper, unit_type=unit, mask=inside, progress=progress
            )
        name_assumptions(reader.info)
    for target in targets:
        is_table = target.suffix.lower() == ".csv"
        write_small_file(target, counts.to_csv().encode() if is_table else png_bytes(counts.to_picture()))
    if json:
        print_json(
            {
                "files": [str(target) for target in targets],
                "unit": counts.unit,
                "edges": counts.edges.tolist(),
                "counts": counts.counts.tolist(),
                "beyond": counts.beyond,
            }
        )
    elif targets:
        for target in targets:
            results().print(str(target), markup=False, soft_wrap=True)
    else:
        results().print(counts.to_csv(), markup=False, soft_wrap=True, end="")
    return 0


@contextlib.contextmanager
def _opened(path: Path, mask: Path | None, label: int | None) -> "Iterator[tuple[PixelReader, Mask | None]]":
    from xfworker.api.composition.image_formats import image_formats
    from xfworker.services.images.masking import Mask

    if label is not None and mask is None:
        raise UsageError("--label names a label of the mask; give --mask too.")
    formats = image_formats()
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(formats.reader(path))
        inside = None if mask is None else Mask(stack.enter_context(formats.reader(mask)), reader.info, label)
        yield reader, inside
