"""Brings the files of a finished job's outputs into a folder."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define

from xfworker.domain.errors import AccessError, FileError, FileNotInStore
from xfworker.domain.filenames import check_filename
from xfworker.domain.files import Resource, Scope, reference_resource
from xfworker.domain.parameters import file_references
from xfworker.ports.file_store import FileStore
from xfworker.ports.filesystem import Filesystem
from xfworker.ports.xf_server import XFServer
from xfworker.services.transfers.observed import reporting


@define(frozen=True)
class Collected:
    """
    The files of outputs.

    Attributes:
        paths: For each output with files, their paths in the order of the references.
        errors: One sentence for each output whose files could not all be fetched.
        left: Whether files that could not be fetched are there all the same: they did not fit on the disk, say.
    """

    paths: dict[str, list[Path]]
    errors: tuple[str, ...]
    left: bool


def collect_files(
    server: XFServer, files: FileStore, filesystem: Filesystem, outputs: Mapping[str, Any], folder: Path
) -> Collected:
    """
    Fetch the files of outputs.

    Each appears under its own name when it is complete. Where a name is taken in the folder, a single file gets a
    number (``slice_2.png``), and files that name each other go together into a folder of the output's key. A file that
    several outputs share is fetched once.

    Args:
        server: Gives the rights to read.
        files: Where the files are.
        filesystem: Knows which names are free.
        outputs: The outputs of a job.
        folder: Where the files go; it is made where needed.
    """
    fetched: dict[Resource, Path] = {}
    collected: dict[str, list[Path]] = {}
    errors = []
    left = False
    for key, value in outputs.items():
        try:
            paths = _collect(key, value, fetched, server, files, filesystem, folder)
        except (FileNotInStore, AccessError) as error:
            errors.append(f"output {key}: {error}")
        except FileError as error:
            errors.append(f"output {key}: {error}")
            left = True
        except OSError as error:
            errors.append(f"output {key}: its files cannot be brought to {folder}: {error.strerror or error}")
            left = True
        else:
            if paths:
                collected[key] = paths
    return Collected(collected, tuple(errors), left)


def _collect(
    key: str,
    value: Any,
    fetched: dict[Resource, Path],
    server: XFServer,
    files: FileStore,
    filesystem: Filesystem,
    folder: Path,
) -> list[Path]:
    resources = list(dict.fromkeys(reference_resource(reference) for reference in file_references(value)))
    missing = [resource for resource in resources if resource not in fetched]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        token = server.file_token([Scope("read", resource) for resource in missing])
        for resource, target in _targets(key, missing, filesystem, folder).items():
            files.download(token, resource, target, progress=reporting("download", resource))
            _open_to_others(target)
            fetched[resource] = target
    return [fetched[resource] for resource in resources]


def _open_to_others(path: Path) -> None:
    # What is fetched can be read by its owner only, as is right for working directories. These files are for people,
    # so they get the rights that a new file would have.
    mask = os.umask(0o077)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def _targets(key: str, resources: list[Resource], filesystem: Filesystem, folder: Path) -> dict[Resource, Path]:
    plain = {resource: folder / check_filename(resource.filename) for resource in resources}
    names = {path.name.casefold() for path in plain.values()}
    clash = len(names) < len(resources) or any(path.exists() for path in plain.values())
    if len(resources) == 1 or not clash:
        return {resource: filesystem.unique_path(path) for resource, path in plain.items()}
    # Files that belong together name each other, so they must keep their names.
    together = filesystem.unique_path(folder / check_filename(_folder_name(key)))
    together.mkdir()
    return {resource: filesystem.unique_path(together / path.name) for resource, path in plain.items()}


def _folder_name(key: str) -> str:
    return re.sub(r"[^\w-]", "_", key)[:60] + "_files"
