"""A package that a command names: a folder, or an archive that is unpacked for the while."""

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
        from xfworker.adapters.disk.filesystem import LocalFilesystem
        from xfworker.adapters.process.owned_folder import owned_folder
        from xfworker.services.packages.archive import unpack

        with owned_folder("package", LocalFilesystem()) as scratch:
            # The scratch folder holds its owner's mark as well, which does not belong to the package.
            folder = scratch / "package"
            folder.mkdir()
            unpack(path, folder)
            yield folder
    else:
        raise UsageError(f"there is no package {path}; name a folder or an {ARCHIVE_SUFFIX} file")
