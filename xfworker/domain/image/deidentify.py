"""Taking the person out of an image's metadata: name and indices in processing logs and scanner headers."""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from xfworker.domain.image.description import ImageInfo

PERSONAL_LOG_KEYS: Final = ("Patient Name", "Index Patient", "Index Measurement", "Original file")
"""Statements of a processing log that lead to a person; the original file's path is made of both indices."""

_PERSONAL_FIELDS: Final = ("name", "patient_index", "index_measurement")


@attrs.frozen
class Deidentified:
    """
    An image's metadata without the person.

    Attributes:
        info: The metadata.
        removed: What was taken out and from where, without saying what it was.
    """

    info: ImageInfo
    removed: tuple[str, ...]


def deidentified_log(log: str) -> tuple[str, list[str]]:
    """
    Blank the values of personal statements in a processing log; its length stays the same, and so do all other bytes.

    All that stands behind the key is blanked, in the column of values or before it, and in comments too.

    Returns:
        The log, and the keys whose values were blanked.
    """
    lines = log.split("\n")
    removed = []
    for index, line in enumerate(lines):
        statement = line.lstrip("! \t")
        for personal in PERSONAL_LOG_KEYS:
            if not statement.casefold().startswith(personal.casefold()):
                continue
            kept = len(line) - len(statement) + len(personal)
            end = line.find("\0") if "\0" in line else len(line)
            if line[kept:end].strip():
                lines[index] = line[:kept] + " " * (end - kept) + line[end:]
                removed.append(f"processing log: {personal}")
    return "\n".join(lines), removed


def deidentify(info: ImageInfo) -> Deidentified:
    """
    Give the image's metadata without the person's name and indices.

    Scanner headers that were kept byte for byte are marked for blanking (``source.deidentified``), which the format's
    writer does; what else an ``.omni`` holds under keys of its own is not known and stays.
    """
    source = dict(info.source or {})
    removed: list[str] = []
    log = source.get("processing_log")
    if isinstance(log, str):
        source["processing_log"], blanked = deidentified_log(log)
        removed += blanked
    scan = source.get("scan")
    if isinstance(scan, list):
        source["scan"], blanked = _without_person(scan)
        removed += blanked
    header = dict(info.header)
    for field in _PERSONAL_FIELDS:
        if header.get(field) not in (None, "", 0):
            header[field] = "" if field == "name" else 0
            removed.append(f"{info.format} header: {field}")
    if source.pop("original_filename", None):
        removed.append("original file name")
    if source:
        source["deidentified"] = True
    evolved = attrs.evolve(info, header=header, source=source if info.source is not None else None)
    return Deidentified(evolved, tuple(dict.fromkeys(removed)))


def _without_person(scan: list[Any]) -> tuple[list[Any], list[str]]:
    kept: list[Any] = []
    removed: list[str] = []
    for pair in scan:
        key = pair[0] if isinstance(pair, list) and len(pair) > 1 else None
        if key in PERSONAL_LOG_KEYS:
            if pair[1] not in ("", 0):
                removed.append(f"scan parameters: {key}")
            kept.append([key, 0 if isinstance(pair[1], int) else ""])
        else:
            kept.append(pair)
    return kept, removed


def is_deidentified(source: Mapping[str, Any] | None) -> bool:
    """Return whether kept headers are to be blanked before they are written."""
    return bool((source or {}).get("deidentified"))
