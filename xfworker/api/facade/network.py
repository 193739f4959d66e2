"""
Files and folders of the file store, under a token.

Attested are :func:`list_files_and_folders_on_filestorage` and the two functions that join virtual paths; the rest is
this project's choice. A **virtual path** is a path in user data with slashes: a folder's ends with one
(``scans/2024/``), a file's does not (``scans/2024/a.isq``).
"""

from pathlib import Path
from typing import Any

from xfworker.api.facade.functions.file_tokens import StoreToken
from xfworker.domain.conversion import format_time
from xfworker.domain.errors import InvalidFilename, UsageError
from xfworker.domain.filenames import check_filename
from xfworker.domain.files import USERDATA, AuthorizationToken, Resource, parse_resource, userdata_resource
from xfworker.ports.file_store import FileStore
from xfworker.services.script.outputs import existing_file

__all__ = [
    "download_file_from_filestorage",
    "list_files_and_folders_on_filestorage",
    "upload_file_to_filestorage",
    "virtualpath_join_file",
    "virtualpath_join_folder",
]


def list_files_and_folders_on_filestorage(
    token: AuthorizationToken, virtualpath: str | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """
    List what a folder of the file store holds.

    Args:
        token: Must allow to ``list`` the folder, such as one from ``xfworkerutil.get_xf_userdata_token``.
        virtualpath: The folder; by default the one that the token is about.

    Returns:
        Files, each with ``name``, ``size`` (bytes), ``modified_at`` and ``sha256`` (or None); and folders, each with
        ``virtual_name``. Both are sorted by name. A folder that is not there is empty.

    Raises:
        PermissionDenied: The token does not allow it.
        FileError: The token is about several folders, so one must be named.
    """
    store = _store(token)
    folder = store.list(token, token.resource("list") if virtualpath is None else _resource(token, virtualpath))
    files = [
        {
            "name": stat.resource.filename,
            "size": stat.size,
            "modified_at": None if stat.modified_at is None else format_time(stat.modified_at),
            "sha256": stat.sha256,
        }
        for stat in folder.files
    ]
    return files, [{"virtual_name": name} for name in folder.folders]


def virtualpath_join_file(folder: str, name: str) -> str:
    """
    Give the virtual path of a file in a folder.

    Raises:
        InvalidFilename: The name is not one safe file name.
    """
    return _folder(folder) + check_filename(name)


def virtualpath_join_folder(folder: str, virtual_name: str) -> str:
    """
    Give the virtual path of a folder in a folder, which ends with a slash.

    Raises:
        InvalidFilename: The name is not one safe name.
    """
    if not isinstance(virtual_name, str):
        raise InvalidFilename(f"folder name {virtual_name!r:.80} is not a string")
    return f"{_folder(folder)}{check_filename(virtual_name.removesuffix('/'), what='folder name')}/"


def download_file_from_filestorage(token: AuthorizationToken, path: Path, virtualpath: str | None = None) -> Path:
    """
    Fetch a file; ``path`` appears when it is complete and verified.

    Args:
        token: Must allow to ``read`` the file.
        path: The local file to be.
        virtualpath: The file; by default the one that the token is about.

    Raises:
        FileNotInStore: There is no such file.
        PermissionDenied: The token does not allow it.
    """
    store = _store(token)
    if not isinstance(path, str | Path) or "\0" in str(path):
        raise UsageError(f"expected the path of the local file to be, got {path!r:.80}")
    store.download(token, token.resource("read") if virtualpath is None else _resource(token, virtualpath), Path(path))
    return Path(path)


def upload_file_to_filestorage(token: AuthorizationToken, path: Path, virtualpath: str | None = None) -> None:
    """
    Store a local file.

    Args:
        token: Must allow to ``write`` the file.
        path: The complete local file.
        virtualpath: Its path in the store; by default the one that the token is about.

    Raises:
        PermissionDenied: The token does not allow it.
        FileError: The transfer failed.
    """
    store = _store(token)
    source = existing_file(path)
    store.upload(token, source, token.resource("write") if virtualpath is None else _resource(token, virtualpath))


def _folder(folder: str) -> str:
    if not isinstance(folder, str):
        raise UsageError(f"a folder's virtual path is a string, not {folder!r:.80}")
    path = folder.replace("\\", "/")
    return path if not path or path.endswith("/") else f"{path}/"


def _resource(token: AuthorizationToken, virtualpath: str) -> Resource:
    if not isinstance(virtualpath, str):
        raise UsageError(f"a virtual path is a string, not {virtualpath!r:.80}")
    # A token is about one source; a path that names it in full is understood as well.
    if virtualpath.split("/", 1)[0] != USERDATA and any(scope.resource.source != USERDATA for scope in token.scopes):
        return parse_resource(virtualpath)
    return userdata_resource(virtualpath)


def _store(token: AuthorizationToken) -> FileStore:
    if isinstance(token, StoreToken):
        return token.files
    if not isinstance(token, AuthorizationToken):
        raise UsageError(
            "the first argument must be a file token, such as one from xfworkerutil.get_xf_userdata_token, not "
            f"{type(token).__name__}"
        )
    from xfworker.adapters.clock import SystemClock
    from xfworker.api.composition.file_stores import open_file_store
    from xfworker.api.settings.file import load_settings

    return open_file_store(load_settings().settings, SystemClock())
