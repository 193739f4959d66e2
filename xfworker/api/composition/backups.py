"""Backups of a server's data, made and brought back while the server runs."""

import gzip
import json
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import define
from sqlalchemy import Engine

from xfworker import __version__
from xfworker.adapters.sql.export import read_rows, write_rows
from xfworker.adapters.sql.records import SqlRecordStore
from xfworker.adapters.sql.schema import current_revision
from xfworker.adapters.transfer.hashing import file_sha256
from xfworker.adapters.transfer.partial_file import flush_file, flush_folder, replacing
from xfworker.api.composition.kept_files import flush_folders, kept_files
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.domain.errors import ChecksumMismatch, ConfigurationError, UsageError
from xfworker.services.files_in_use import when_free

_MANIFEST = "manifest.json"
_RECORDS = "records.jsonl.gz"
_FILES = "files"
_SECRET = "secret"  # noqa: S105  the name of a file
_FORMAT = 1
_FOR_CLOCKS = 1_000_000
"""The milliseconds by which the clocks of where a backup was made and where it is restored may differ."""


@define(frozen=True, kw_only=True)
class BackupSummary:
    """What a backup holds."""

    records: int
    files: int
    file_bytes: int


def make_backup(storage: PlatformStorage, target: Path) -> BackupSummary:
    """
    Write a backup into a new folder, which appears only when complete.

    The records are one snapshot. Files come after it, so every file that a record of the snapshot names is among them.

    Raises:
        UsageError: The target is there already, or the storage location holds no records.
        ConfigurationError: The database cannot be opened.
    """
    if target.exists():
        raise UsageError(f"{target} is there already; name a new folder")
    files = kept_files(storage)  # what is wrong with the bucket is said before anything is made
    engine = _engine(storage)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        partial.mkdir(parents=True, mode=0o700)
        (partial / _RECORDS).touch(mode=0o600)
        with gzip.open(partial / _RECORDS, "wb") as file:
            count = write_rows(engine, file)  # type: ignore[arg-type]  # a gzip file is written like any other
        digests = {name: files.copy_to(name, partial / _FILES / name) for name in files.names()}
        own = [partial / _RECORDS, partial / _MANIFEST]
        if storage.secret_path.exists():
            shutil.copy2(storage.secret_path, partial / _SECRET)
            own.append(partial / _SECRET)
        kept = {name: entry for name, entry in digests.items() if entry is not None}
        manifest = {
            "format": _FORMAT,
            "version": __version__,
            "schema": current_revision(engine),
            "made_at": datetime.now(UTC).isoformat(),
            "records": {"count": count, "sha256": file_sha256(partial / _RECORDS)},
            "files": kept,
        }
        (partial / _MANIFEST).touch(mode=0o600)
        (partial / _MANIFEST).write_text(json.dumps(manifest, indent=1), "utf-8")
        for path in own:
            flush_file(path)
        flush_folders(partial)
        when_free(lambda: partial.rename(target))
        flush_folder(target.parent)
    finally:
        engine.dispose()
        shutil.rmtree(partial, ignore_errors=True)
    return BackupSummary(records=count, files=len(kept), file_bytes=sum(size for _, size in kept.values()))


def restore_backup(storage: PlatformStorage, source: Path) -> BackupSummary:
    """
    Bring back what a backup holds; everything is checked before anything is changed.

    Servers that run take no change meanwhile, so that no file of what is replaced arrives among what is put back.
    Files that are not in the backup are moved to ``replaced`` in the data folder, or to ``.xfworker/replaced`` in the
    bucket. What the records count goes on behind what may have been given since the backup (:func:`skipped_since`).

    Raises:
        UsageError: The source is not a backup.
        ChecksumMismatch: The backup is damaged.
        ConfigurationError: It was made by a newer version.
    """
    manifest = _checked(source)
    files: dict[str, Any] = manifest["files"]
    kept = kept_files(storage)
    storage.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = _engine(storage, must_exist=False)
    try:
        if manifest.get("schema") != current_revision(engine):
            raise ConfigurationError(
                f"the backup has schema {manifest.get('schema')}, this version {current_revision(engine)}; restore it "
                f"with xfworker {manifest.get('version')}, then upgrade"
            )

        def put_back() -> None:
            if not storage.secret_path.exists() and (source / _SECRET).exists():
                # Whole or not at all: a server takes what is there for its secret, and so does the next restore.
                with replacing(storage.secret_path, fsync=True, private=True) as partial:
                    shutil.copyfile(source / _SECRET, partial)
            for name in files:
                kept.put_back(source / _FILES / name, name)
            kept.move_away(set(files))

        with gzip.open(source / _RECORDS, "rb") as file:
            skipped = skipped_since(datetime.fromisoformat(manifest["made_at"]), datetime.now(UTC))
            count = read_rows(engine, file, skipped=skipped, meanwhile=put_back)  # type: ignore[arg-type]  # it is read like any other
    finally:
        engine.dispose()
    return BackupSummary(records=count, files=len(files), file_bytes=sum(size for _, size in files.values()))


def skipped_since(made_at: datetime, now: datetime) -> int:
    """
    Give how many lock versions of one record, or serials of one table, may have been given since a backup was made.

    One for each millisecond, which is more than any server gives, so that no second restore of the backup comes to
    those that were given after the first; and some for clocks that differ.
    """
    return _FOR_CLOCKS + max(round((now - made_at).total_seconds() * 1_000), 0)


def _engine(storage: PlatformStorage, *, must_exist: bool = True) -> Engine:
    if must_exist and storage.database is None and not (storage.data / "records.sqlite").exists():
        raise UsageError(f"{storage.data} holds no records of a server; name its data folder with --data")
    records = opened_records(storage)
    if not isinstance(records, SqlRecordStore):
        raise UsageError("records that are only in memory cannot be backed up")
    return records.engine


def _checked(source: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((source / _MANIFEST).read_text("utf-8"))
        expected = {_RECORDS: manifest["records"]["sha256"]}
        datetime.fromisoformat(manifest["made_at"])
        expected |= {f"{_FILES}/{name}": entry[0] for name, entry in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        raise UsageError(f"{source} is not a backup: its {_MANIFEST} is missing or damaged") from None
    if manifest.get("format") != _FORMAT:
        raise ConfigurationError(f"{source} is a backup of format {manifest.get('format')!r}, which is not known here")
    for name, digest in expected.items():
        path = source / name
        inside = path.resolve().is_relative_to(source.resolve())
        if not inside or not path.is_file() or file_sha256(path) != digest:
            raise ChecksumMismatch(f"the backup {source} is damaged: {name} is missing or not what was backed up")
    return manifest
