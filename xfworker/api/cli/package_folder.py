"""A package that a command names: a folder, or an archive that is unpacked for the while."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xfworker.domain.errors import UsageError
from xfworker.domain.package import ARCHIVE_SUFFIX


@contextmanager
def package_folder(path: Path) -> Iterator[Path]:
    """
    Give the folder with a package's files.

    Raises:
        UsageError: There is nothing at the path, or neither folder nor archive.
        PackageError: It is an archive that must not be unpacked.
    """
    if path.is_dir():
        yield path
    elif path.is_file():
        from xfworker.services.packages.archive import unpack

        with tempfile.TemporaryDirectory(prefix="xfworker-package-") as scratch:
            unpack(path, Path(scratch))
            yield Path(scratch)
    else:
        raise UsageError(f"there is no package {path}; name a folder or an {ARCHIVE_SUFFIX} file")
