"""Bringing the files of a job's inputs, of its packages and of user data to where the script can open them."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from xfworker.domain.errors import FileNotInStore, InvalidParameter
from xfworker.domain.filenames import is_safe_filename
from xfworker.domain.files import AuthorizationToken, Resource, Scope, reference_resource, userdata_resource
from xfworker.domain.parameters import file_references
from xfworker.services.script.session import Session
from xfworker.services.script.working_directory import WorkingDirectory

OMNI_SUFFIX = ".omni"


def fetch_file(session: Session, working_dir: WorkingDirectory, resource: Resource, *, copy: bool) -> Path:
    """
    Give a local path to a file of the store, in place or downloaded to the working directory.

    Raises:
        FileNotInStore: There is no such file.
        PermissionDenied: The job may not read it.
        FileError: The transfer failed; the class says how.
    """
    token = session.server.file_token([Scope("read", resource)])
    return session.transfers.fetch(token, resource, working_dir.directory, copy_even_on_direct_access=copy)


def fetch_additional(
    session: Session, working_dir: WorkingDirectory, parameter: Mapping[str, Any], *, copy: bool
) -> list[Path]:
    """
    Give local paths to the files of a parameter beside its main one, in their order.

    Raises:
        FileError: One of them failed; the message names it.
    """
    resources = [reference_resource(reference) for reference in file_references(parameter, only_additional=True)]
    if not resources:
        return []
    token = session.server.file_token(reading(resources))
    return session.transfers.fetch_many(token, resources, working_dir.directory, copy_even_on_direct_access=copy)


def related_resource(parameter: Mapping[str, Any], filename: str) -> Resource:
    """
    Give the resource of a file that stands beside a parameter's own file.

    Raises:
        InvalidFilename: The name is not one safe file name.
    """
    own = reference_resource(parameter)
    return Resource(own.segments[:-1]).child(filename)


def userdata_file_resource(virtualpath: str) -> Resource:
    """
    Give the resource of a file in user data.

    Raises:
        InvalidParameter: The path names no file.
    """
    if not isinstance(virtualpath, str) or virtualpath.endswith(("/", "\\")):
        raise InvalidParameter(f"{virtualpath!r} is not a path of a file in user data, such as 'scans/2024/a.isq'")
    resource = userdata_resource(virtualpath)
    if len(resource.segments) == 1:
        raise InvalidParameter(f"{virtualpath!r} names no file in user data")
    return resource


def fetch_image(
    session: Session,
    working_dir: WorkingDirectory,
    parameter: Mapping[str, Any],
    *,
    copy: bool,
    only_metadata: bool = False,
) -> Path:
    """
    Give a local path to an image's main file, with every other file of the image beside it under its own name.

    Files that lie where they can be opened are used in place; where they lie in several folders, they are brought
    together by links, since an OMNI document names its pixels by their name alone.

    Args:
        session: Whose input it is.
        working_dir: Where files go.
        parameter: The ``Image`` parameter.
        copy: Give copies of the script's own.
        only_metadata: Leave the pixels where they are.

    Raises:
        FileNotInStore: A file is not there.
        FileError: A transfer failed; the message names the file.
    """
    main = reference_resource(parameter)
    # What is in the parameter, such as the image of a mask, is not a part of the image.
    own = {key: value for key, value in parameter.items() if not isinstance(value, Mapping)}
    beside = [resource for reference in file_references(own) if (resource := reference_resource(reference)) != main]
    folder = Resource(main.segments[:-1])
    # The folder rather than the file: the OMNI document may name pixels that the parameter does not name.
    scopes = [
        folder if len(folder.segments) > 1 else main,
        *(resource for resource in beside if not folder.contains(resource)),
    ]
    group = _Group(session, working_dir, session.server.file_token(reading(scopes)), copy=copy)
    if only_metadata:
        return group.bring([main])[0]
    path = group.bring([main, *beside])[0]
    missing = [name for name in pixel_filenames(path) if not path.with_name(name).exists()]
    if missing:
        group.bring_beside(path, [folder.child(name) for name in missing])
    return path


def pixel_filenames(path: Path) -> list[str]:
    """List the files that an OMNI document names; nothing for other formats and for a document that is broken."""
    if path.suffix.lower() != OMNI_SUFFIX:
        return []
    try:
        document = json.loads(path.read_bytes())
        names = [document["pixels"]["filename"], *(document.get("additional_pixels_filenames") or [])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return [name for name in names if is_safe_filename(name)]


def reading(resources: Sequence[Resource]) -> list[Scope]:
    """Give the right to read each of the resources once."""
    return [Scope("read", resource) for resource in dict.fromkeys(resources)]


class _Group:
    """Files that belong side by side."""

    def __init__(
        self, session: Session, working_dir: WorkingDirectory, token: AuthorizationToken, *, copy: bool
    ) -> None:
        self._session = session
        self._working_dir = working_dir
        self._token = token
        self._copy = copy

    def bring(self, resources: Sequence[Resource]) -> list[Path]:
        transfers = self._session.transfers
        paths: list[Path] = []
        if not self._copy:
            for resource in resources:
                located = transfers.locate(self._token, resource)
                if located is None:
                    break
                paths.append(located[0])
            else:
                if len({path.parent for path in paths}) == 1:
                    return paths
                return linked(self._session, self._working_dir, paths[0].stem, paths)[1]
        directory = self._working_dir.directory
        # An OMNI document must not meet a stranger's pixels under the name that it looks for.
        if len(resources) > 1 or resources[0].filename.lower().endswith(OMNI_SUFFIX):
            directory = self._working_dir.create_temp_directory(resources[0].filename.partition(".")[0])
        return transfers.fetch_many(
            self._token,
            resources,
            directory,
            copy_even_on_direct_access=True,
            look_in_place=self._copy or bool(paths),
        )

    def bring_beside(self, path: Path, resources: Sequence[Resource]) -> None:
        for resource in resources:
            target = path.with_name(resource.filename)
            if not self._working_dir.is_under(target):
                raise FileNotInStore(f"{path} names {resource.filename}, which the file store does not have beside it")
            self._session.transfers.download(self._token, resource, target)


def linked(
    session: Session, working_dir: WorkingDirectory, name: str, paths: Sequence[Path]
) -> tuple[Path, list[Path]]:
    """
    Bring files together in a new folder of the working directory by links, or by copies where links are not allowed.

    Args:
        session: Whose files they are.
        working_dir: Where the folder is made.
        name: What the folder is named after.
        paths: The files.

    Returns:
        The folder and the links in it, in the order of the files.
    """
    directory = working_dir.create_temp_directory(name)
    links = []
    for path in paths:
        link = session.filesystem.unique_path(directory / path.name)
        with suppress(OSError):  # Windows asks for a privilege
            link.symlink_to(path.absolute())
        if not link.exists():  # nor follows every link that it makes, to another share for one
            session.filesystem.copy(path, link)
        links.append(link)
    return directory, links
