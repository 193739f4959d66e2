"""
Package archives: written so that the same files always give the same bytes, and read with suspicion.

An archive from outside may be made to fill the disk, to write outside its folder, or to mean different things on
different systems. Everything is checked before the first file is written; sizes are counted again while reading.
"""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from xfworker.domain.errors import InvalidFilename, PackageError
from xfworker.domain.filenames import check_filename
from xfworker.domain.package import METADATA_FILENAME
from xfworker.services.packages.check import package_files

MOST_FILES = 20_000
MOST_BYTES = 2 * 1024 * 1024 * 1024
_FREE_BYTES = 64 * 1024 * 1024
_MOST_RATIO = 200
"""More than this beyond 64 MiB is not a package but a bomb: source code and models shrink far less."""
_BLOCK = 1024 * 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ENCRYPTED = 0x1
_MOST_VIOLATIONS = 50


def pack(folder: Path, target: Path) -> None:
    """
    Write a package folder as archive. The same files give the same bytes, whatever their times and owners.

    Args:
        folder: A folder that was checked.
        target: The file to write; the caller sees to it that it appears only when complete.

    Raises:
        PackageError: A name in the folder is not safe, there are links, or it is too large.
    """
    names = package_files(folder)
    total = sum((folder / name).stat().st_size for name in names)
    if total > MOST_BYTES or len(names) > MOST_FILES:
        raise PackageError(
            f"{folder} holds {len(names)} files, {total} bytes; {MOST_FILES} files and {MOST_BYTES} bytes are the most"
        )
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            with (folder / name).open("rb") as source, archive.open(entry, "w") as copy:
                while block := source.read(_BLOCK):
                    copy.write(block)


def unpack(archive: Path, folder: Path) -> None:
    """
    Unpack an archive into a folder that is empty or is made.

    Raises:
        PackageError: It is not a ZIP archive, or it is not fit to be unpacked; all violations are listed, and
            nothing was written unless it was damaged inside.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            violations = archive_violations(entries, archive.stat().st_size)
            if violations:
                raise PackageError(_message(archive, violations), violations)
            for entry in entries:
                if not entry.is_dir():
                    _extract(opened, entry, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise PackageError(f"{archive} is not a package archive, or it is damaged: {error}") from error


def archive_violations(entries: list[zipfile.ZipInfo], archive_bytes: int) -> list[str]:
    """
    Say why an archive must not be unpacked.

    Args:
        entries: What its directory lists.
        archive_bytes: Its size, to detect bombs.
    """
    violations = _size_violations(entries, archive_bytes)
    taken: dict[str, zipfile.ZipInfo] = {}
    folders: dict[str, str] = {}
    for entry in entries:
        # The name as it stands in the file: zipfile cuts at NUL and turns backslashes on some systems.
        name = entry.orig_filename
        violation = next((violation for rule in _RULES if (violation := rule(entry, name))), None)
        if violation:
            violations.append(f"{name[:200]!a}: {violation}")
            continue
        if entry.is_dir():
            folders.setdefault(name.rstrip("/").casefold(), name)
            continue
        other = taken.setdefault(name.casefold(), entry)
        if other is not entry:
            same = other.orig_filename
            violations.append(f"{name}: is there twice" + ("" if same == name else f", the other time as {same}"))
        for parent in _parents(name.casefold()):
            folders.setdefault(parent, name)
    violations += [f"{taken[name].orig_filename}: is a file and a folder as well" for name in taken if name in folders]
    if not violations and METADATA_FILENAME not in {entry.orig_filename for entry in entries}:
        violations.append(f"{METADATA_FILENAME}: is not at the root of the archive")
    return violations[:_MOST_VIOLATIONS]


def _size_violations(entries: list[zipfile.ZipInfo], archive_bytes: int) -> list[str]:
    if len(entries) > MOST_FILES:
        return [f"it lists {len(entries)} files; {MOST_FILES} is the most"]
    total = sum(entry.file_size for entry in entries)
    if total > MOST_BYTES:
        return [f"it would unpack to {total} bytes; {MOST_BYTES} is the most"]
    if total > _FREE_BYTES and total > _MOST_RATIO * archive_bytes:
        return [f"it would unpack to {total} bytes, {total // max(archive_bytes, 1)} times its size: this is a bomb"]
    return []


def _path_violation(_: zipfile.ZipInfo, name: str) -> str | None:
    if name.startswith("/"):
        return "is an absolute path"
    for part in name.removesuffix("/").split("/"):
        try:
            check_filename(part, what="path segment")
        except InvalidFilename as error:
            return str(error)
    return None


def _position_violation(entry: zipfile.ZipInfo, _: str) -> str | None:
    # zipfile goes there before it looks at anything, and what the system says of it is no sentence of ours.
    return "begins before the archive does" if getattr(entry, "header_offset", 0) < 0 else None


def _kind_violation(entry: zipfile.ZipInfo, _: str) -> str | None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a link; packages hold files only"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "is neither a file nor a folder"
    return None


def _content_violation(entry: zipfile.ZipInfo, _: str) -> str | None:
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    supported = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    return None if entry.compress_type in supported else "is compressed in a way other than deflate"


_RULES: tuple[Callable[[zipfile.ZipInfo, str], str | None], ...] = (
    _path_violation,
    _position_violation,
    _kind_violation,
    _content_violation,
)


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / entry.orig_filename
    target.parent.mkdir(parents=True, exist_ok=True)
    # Mode "x": the folder was empty, so what is there already came out of this archive under another name. No more
    # comes out of an entry than its size says, which was looked at.
    with opened.open(entry) as source, target.open("xb") as copy:
        shutil.copyfileobj(source, copy, _BLOCK)


def _message(archive: Path, violations: list[str]) -> str:
    return f"{archive} was not unpacked:\n  " + "\n  ".join(violations)
