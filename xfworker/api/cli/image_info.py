"""``xfworker image info``: what an image file holds."""

import contextlib
from pathlib import Path

from xfworker.api.cli.console import print_json, results
from xfworker.api.cli.image_facts import image_document, print_facts
from xfworker.api.cli.image_options import name_assumptions, progress_bar


def info(
    path: Path,
    *,
    json: bool = False,
    statistics: bool = True,
    log: bool = False,
) -> int:
    """
    Show what an image file holds: header, calibration and statistics.

    The format is recognised by content. Statistics read every pixel, block after block.

    Exit code 0: done; 1: it could not be; 2: called wrongly.
    Example: `xfworker image info scan.AIM --json`

    Args:
        path: The image file or folder.
        json: Print one JSON document on stdout.
        statistics: Whether to take statistics of the pixels.
        log: Print the processing log too.
    """
    from xfworker.api.composition.image_formats import image_formats
    from xfworker.services.images.statistics import NothingToCount
    from xfworker.services.images.statistics import statistics as taken

    counted = None
    with image_formats().reader(path) as reader:
        image = reader.info
        if statistics:
            with progress_bar(f"reading {path.name}", quiet=json) as progress, contextlib.suppress(NothingToCount):
                counted = taken(reader, progress)
    document = image_document(image, counted)
    if statistics and counted is None:
        document["statistics"] = {"pixels": 0, "not_numbers": image.pixel_count}
    name_assumptions(image)
    if json:
        document["processing_log"] = image.processing_log
        print_json(document)
        return 0
    print_facts(document)
    if log and image.processing_log:
        results().print(image.processing_log, markup=False, soft_wrap=True)
    return 0
