"""Picks the file store that the settings choose."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, fields

from xfworker.api.composition.adapter_registry import make_adapter
from xfworker.api.composition.network import proxy_options
from xfworker.api.composition.secret_files import bucket_secret_key
from xfworker.api.settings.model import FilesSettings, Settings
from xfworker.domain.errors import ConfigurationError
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore

OWN_KINDS = ("fss", "folder", "s3", "memory")
"""File stores that need no registration."""


def open_file_store(settings: Settings, clock: Clock) -> FileStore:
    """
    Give the file store that the settings choose, with its archives behind it.

    Raises:
        ConfigurationError: A setting is missing or malformed, or an adapter is not installed.
    """
    chosen = _open(settings, settings.files, clock, setting="files.kind")
    if not settings.files.archives:
        return chosen
    from xfworker.adapters.layered.file_store import LayeredFileStore

    archives = [
        _open(settings, _archive(table, index), clock, setting=f"files.archives[{index}].kind")
        for index, table in enumerate(settings.files.archives)
    ]
    return LayeredFileStore(chosen, archives)


def _open(settings: Settings, files: FilesSettings, clock: Clock, *, setting: str) -> FileStore:
    match files.kind:
        case "fss":
            return _fss(settings, clock)
        case "folder":
            return _folder(files, setting)
        case "s3":
            return _s3(settings, files, clock)
        case "memory":
            from xfworker.adapters.memory.files import MemoryFileStore

            return MemoryFileStore()
        case _:
            store: FileStore = make_adapter("files", files.kind, files.options, own=OWN_KINDS, setting=setting)
            return store


def _fss(settings: Settings, clock: Clock) -> FileStore:
    from xfworker.adapters.http.file_store import HttpFileStore

    return HttpFileStore(
        limits=settings.http,
        transfers=settings.transfers,
        tls=settings.tls,
        proxy=proxy_options(settings.network, os.environ),
        allow_plain_http=settings.server.allow_plain_http,
        clock=clock,
    )


def _folder(files: FilesSettings, setting: str) -> FileStore:
    from xfworker.adapters.disk.file_modes import GroupAccess
    from xfworker.adapters.disk.file_store import FolderFileStore

    if files.folder is None:
        raise ConfigurationError(f"{setting} is 'folder', which needs a folder")
    if not files.folder.is_dir():
        raise ConfigurationError(
            f"the file store's folder {files.folder} is not there; is the shared disk mounted? "
            f"({setting.removesuffix('.kind')}.folder)"
        )
    root = files.direct_access_root or str(files.folder.absolute())
    return FolderFileStore(
        files.folder,
        direct_access_root=root,
        direct_writes=files.direct_writes,
        group_access=GroupAccess(files.group_access),
    )


def _s3(settings: Settings, files: FilesSettings, clock: Clock) -> FileStore:
    try:
        from xfworker.adapters.s3.bucket import open_bucket
        from xfworker.adapters.s3.file_store import S3FileStore

        bucket, prefix = open_bucket(
            files.bucket,
            endpoint=files.endpoint,
            access_key=files.access_key,
            secret_key=bucket_secret_key(files),
            region=files.region,
            tls_ca_file=settings.tls.ca_file,
            connect_seconds=settings.http.connect_seconds,
            read_seconds=settings.http.read_seconds,
        )
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"files.kind is 's3', which needs the package {error.name!r}; install it with: pip install 'xfworker[s3]'"
        ) from None
    return S3FileStore(bucket, prefix=prefix, transfers=settings.transfers, clock=clock)


def _archive(table: Mapping[str, Any], index: int) -> FilesSettings:
    known = {item.name for item in fields(FilesSettings)} - {"archives"}
    wrong = sorted(set(table) - known)
    if wrong:
        raise ConfigurationError(
            f"files.archives[{index}]: {', '.join(wrong)}: no such setting; there are: {', '.join(sorted(known))}"
        )
    folder = table.get("folder")
    values = {**table, "folder": None if folder is None else Path(folder).expanduser()}
    if "secret_key_file" in table:
        values["secret_key_file"] = Path(table["secret_key_file"]).expanduser()
    return evolve(FilesSettings(), **values)
