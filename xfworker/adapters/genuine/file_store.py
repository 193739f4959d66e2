"""The file store as far as the documented calls of the genuine module reach it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from xfworker.adapters.genuine.errors import CallNotDocumented
from xfworker.adapters.genuine.module import GenuineModule
from xfworker.domain.errors import ServerFault
from xfworker.domain.files import (
    USERDATA,
    AuthorizationToken,
    FileStat,
    Folder,
    Resource,
    require_file,
    resource_reference,
)
from xfworker.ports.file_store import Progress

_BLOCK = 1 << 20


class GenuineFileStore:
    """
    A :class:`~xfworker.ports.file_store.FileStore` over ``download_input_file``, ``upload_output_file`` and their like.

    A file that the module finds on a shared disk is used where it lies. One that it fetches lies in the genuine job's
    working directory, and is fetched once.
    """

    def __init__(self, module: GenuineModule) -> None:
        """Take the loaded module."""
        self._module = module
        self._paths: dict[Resource, Path] = {}
        self._sizes: dict[Resource, int] = {}

    def stat(self, token: AuthorizationToken, resource: Resource) -> FileStat:
        """
        Give size and place of a file. No documented call gives a size without the file, so it is fetched for that.

        Raises:
            ServerFault: It could not be fetched; which error says that it is not there is not public.
        """
        if not token.allows("write", resource):
            token.require("read", resource)
        path = self._local(resource)
        fetched = self._module.worker.working_dir.is_under(path)
        return FileStat(
            resource=resource,
            size=path.stat().st_size,
            direct_access_path=None if fetched else str(path),
        )

    def download(
        self, token: AuthorizationToken, resource: Resource, target: Path, *, progress: Progress | None = None
    ) -> FileStat:
        """Fetch a file by the documented call; ``target`` appears when it is complete."""
        token.require("read", resource)
        path = self._local(resource)
        partial = target.with_name(f"{target.name}.partial")
        try:
            shutil.copyfile(path, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        size = target.stat().st_size
        if progress is not None:
            progress(size, size)
        return FileStat(resource=resource, size=size)

    def upload(
        self, token: AuthorizationToken, source: Path, resource: Resource, *, progress: Progress | None = None
    ) -> FileStat:
        """
        Store an output of the running job, or a file of user data.

        Raises:
            CallNotDocumented: For everything else.
        """
        token.require("write", require_file(resource))
        size = source.stat().st_size
        if resource.source == USERDATA:
            virtualpath = "/".join(resource.segments[1:])
            with self._module.calling(f"upload {resource}"):
                self._module.worker.upload_xf_userdata_file(source, virtualpath)
        elif resource.segments[:2] == ("job_result", str(self._module.arguments.job_serial)):
            with self._module.calling(f"upload {resource}"), _under_its_name(source, resource.filename) as path:
                self._module.worker.upload_output_file(path)
        else:
            raise CallNotDocumented(f"write {resource}, which is neither an output of this job nor user data")
        self._paths.pop(resource, None)
        self._sizes[resource] = size
        if progress is not None:
            progress(size, size)
        return FileStat(resource=resource, size=size)

    def open_read(
        self, token: AuthorizationToken, resource: Resource, *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """Give the bytes of a file or of a range of it, of the copy that the documented call gives."""
        token.require("read", resource)
        path = self._local(resource)
        left = length

        def blocks() -> Iterator[bytes]:
            nonlocal left
            with path.open("rb") as file:
                file.seek(offset)
                while left is None or left > 0:
                    block = file.read(_BLOCK if left is None else min(_BLOCK, left))
                    if not block:
                        return
                    left = None if left is None else left - len(block)
                    yield block

        return blocks()

    def direct_access_path(
        self, token: AuthorizationToken, resource: Resource, *, for_writing: bool = False
    ) -> str | None:
        """Give where a file lies on a shared disk; never a path for writing, as no documented call registers a file."""
        if for_writing:
            token.require("write", resource)
            return None
        return self.stat(token, resource).direct_access_path

    def register(self, token: AuthorizationToken, resource: Resource, *, size: int, sha256: str) -> FileStat:
        """
        Refuse.

        Raises:
            CallNotDocumented: Always.
        """
        token.require("write", resource)
        raise CallNotDocumented(
            f"register {resource} ({size} bytes, SHA-256 {sha256[:12]}), which was written directly"
        )

    def list(self, token: AuthorizationToken, folder: Resource) -> Folder:
        """
        List a folder of user data, or the outputs of a job, by the sibling module ``network``.

        Only the names of files are documented there. One whose size is not stated is fetched to know it.

        Raises:
            CallNotDocumented: For other folders, and where there is no ``network`` beside the module.
        """
        token.require("list", folder)
        network, util = self._module.network, self._module.util
        if network is None:
            raise CallNotDocumented(f"list {folder}: the module has no sibling network")
        with self._module.connection(f"list {folder}") as connection:
            if folder.source == USERDATA:
                virtualpath = "/".join(folder.segments[1:])
                genuine = util.get_xf_userdata_token(connection, [("list", f"{virtualpath}/" if virtualpath else "")])
            elif folder.source == "job_result":
                genuine = util.get_xf_job_result_token(connection, int(folder.segments[1]))
            else:
                raise CallNotDocumented(f"list {folder}")
            files, folders = network.list_files_and_folders_on_filestorage(genuine)
        stated = {folder.child(_member(item, "name")): item.get("size") for item in files}
        return Folder(
            files=tuple(
                FileStat(resource=item, size=self._size(item, stated[item])) for item in sorted(stated, key=str)
            ),
            folders=tuple(sorted(_member(item, "virtual_name").rstrip("/") for item in folders)),
        )

    def delete(self, token: AuthorizationToken, resource: Resource) -> None:
        """
        Refuse.

        Raises:
            CallNotDocumented: Always.
        """
        token.require("delete", resource)
        raise CallNotDocumented(f"delete {resource}")

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def _local(self, resource: Resource) -> Path:
        known = self._paths.get(resource)
        if known is not None and known.is_file():
            return known
        parameter = self._module.keys.reference({"type": "ForeignFile", **resource_reference(require_file(resource))})
        with self._module.calling(f"fetch {resource}"):
            path = Path(self._module.worker.download_input_file(parameter))
        if not path.is_file():
            raise ServerFault(f"The genuine xfworkerutil gave {path} for {resource}, and no file is there.")
        self._paths[resource] = path
        return path

    def _size(self, resource: Resource, size: Any) -> int:
        if isinstance(size, int) and not isinstance(size, bool):
            return size
        # Only the name of an item is documented. What is not known is asked for, not guessed.
        return self._sizes[resource] if resource in self._sizes else self._local(resource).stat().st_size


def _member(item: Any, key: str) -> str:
    try:
        return str(item[key])
    except (TypeError, KeyError):
        raise ServerFault(f"A listing of the genuine module holds an item without {key!r}.") from None


@contextmanager
def _under_its_name(source: Path, filename: str) -> Iterator[Path]:
    """Give a path to the file that ends with its name in the store: the documented upload takes the name from it."""
    if source.name == filename:
        yield source
        return
    with TemporaryDirectory(dir=source.parent, prefix=".upload-") as folder:
        path = Path(folder) / filename
        try:
            path.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, path)
        yield path
