"""Which files an image may replace: those that its own document names, and that no other document names."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from xfworker.domain.errors import ImageError, UsageError
from xfworker.domain.image.description import ImageInfo

Probe = Callable[[Path], ImageInfo | None]

_DOCUMENT_SUFFIXES: Final = frozenset({".omni", ".mhd", ".nhdr", ".vgi"})
"""Formats whose documents name files beside them."""


def check_replaceable(document: Path, files: Iterable[Path], probe: Probe) -> None:
    """
    Check that writing an image replaces no pixels of another one: ``scan.omni`` and ``scan.mhd`` both say ``scan.raw``.

    A file that exists may be replaced if it is the document itself or one that the document names, and if no other
    document beside it names it.

    Args:
        document: The file that describes the image which is to be written.
        files: All files that are to be written.
        probe: Describes the image that a file holds.

    Raises:
        UsageError: A file belongs to another image, or to nothing that is known; the message names it.
    """
    existing = [path for path in dict.fromkeys(files) if path.exists() and not path.is_dir()]
    if not existing:
        return
    own = [document, *_files_of(document, probe)]
    for path in existing:
        if not _is_among(path, own):
            raise UsageError(
                f"{path} would be replaced, but it is not a file of {document} and may hold the pixels of another"
                " image; write to another name, or remove it first."
            )
    for other in _documents_beside(document):
        theirs = _files_of(other, probe)
        shared = next((path for path in existing if _is_among(path, theirs)), None)
        if shared is not None:
            raise UsageError(
                f"{shared} would be replaced, but it holds pixels of {other}; write to another name, or remove"
                f" {other.name} first."
            )


def _documents_beside(document: Path) -> list[Path]:
    beside = sorted(document.absolute().parent.iterdir())
    return [path for path in beside if path.suffix.lower() in _DOCUMENT_SUFFIXES and not _is_among(path, [document])]


def _files_of(document: Path, probe: Probe) -> tuple[Path, ...]:
    """Give the files of the image that a document describes; none where there is no such document, or a broken one."""
    try:
        info = probe(document) if document.is_file() else None
    except ImageError:
        return ()
    return () if info is None else (info.pixels_path, *info.files)


def _is_among(path: Path, others: Iterable[Path]) -> bool:
    for other in others:
        with suppress(OSError):  # it is not there any more
            if path.samefile(other):
                return True
    return False
