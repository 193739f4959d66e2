"""What kind of parameter a file on this computer becomes: decided by its content, never by its name alone."""

import csv
import io
from pathlib import Path

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.filenames import check_filename
from xfworker.ports.image_codec import ImageFormats
from xfworker.services.jobs.staging import StagedFile

_TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
_LOOKED_AT_BYTES = 64 * 1024
_LEAST_COLUMNS = 2
_LEAST_ROWS = 2


def describe_input_file(path: Path, expected: str | None, images: ImageFormats) -> StagedFile:
    """
    Describe what a file becomes: an ``Image`` by content, a ``CSV`` where it is a table, else a ``ForeignFile``.

    Args:
        path: The file.
        expected: The type that an interface declares; it is taken, except that an image must be one.
        images: Recognises image files.

    Raises:
        InvalidParameter: There is no such file, or it is not an image where one is expected.
        InvalidFilename: Its name cannot be used in the file store.
        ImageError: It is a damaged image.
    """
    if not path.exists():
        raise InvalidParameter(f"there is no file {path}")
    if not path.is_file():
        raise InvalidParameter(f"{path} is not a file")
    with path.open("rb") as file:
        head = file.read(_LOOKED_AT_BYTES)
    image = images.probe(path) if expected in {None, "Image"} else None
    if image is not None:
        beside = tuple(other for other in image.files if other.resolve() != path.resolve())
        described = StagedFile(type="Image", paths=(path, *beside), size=image.size_3d)
    elif expected == "Image":
        raise InvalidParameter(f"{path} holds no image of a known format, and this input takes an Image")
    else:
        kind = expected or ("CSV" if is_table(head, path.suffix) else "ForeignFile")
        described = StagedFile(type=kind, paths=(path,))
    for part in described.paths:
        check_filename(part.name)
        if not part.is_file():
            raise InvalidParameter(f"{path} needs {part}, which is not there")
    return described


def is_table(head: bytes, suffix: str) -> bool:
    """
    Whether a file is a table: text whose lines all have the same number of columns.

    Args:
        head: The file's first bytes; the last line is left out where there may be more.
        suffix: With ``.csv`` and ``.tsv`` any text is a table.
    """
    text = _decoded(head)
    if text is None or not text.strip():
        return False
    if suffix.lower() in _TABLE_SUFFIXES:
        return True
    if len(head) >= _LOOKED_AT_BYTES:
        text = text.rpartition("\n")[0]
    return any(_has_columns(text, delimiter) for delimiter in ",;\t")


def _decoded(head: bytes) -> str | None:
    if b"\0" in head:
        return None
    for cut in range(4):
        # A character can be cut in two where the head ends.
        try:
            return head[: len(head) - cut].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
    return None


def _has_columns(text: str, delimiter: str) -> bool:
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter, strict=True) if row]
    except csv.Error:
        return False
    widths = {len(row) for row in rows}
    return len(rows) >= _LEAST_ROWS and len(widths) == 1 and widths.pop() >= _LEAST_COLUMNS
