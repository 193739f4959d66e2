"""``xfworker restore``: brings back what a backup holds."""

from pathlib import Path

from cyclopts import App

from xfworker.api.cli.console import messages

app = App(name="restore", help_format="plaintext")


@app.default
def restore(
    source: Path, *, data: Path = Path("xfworker-data"), database: str | None = None, files: str | None = None
) -> int:
    """
    Replace everything that a server keeps by what a backup holds. The server may run meanwhile.

    The backup is checked before anything is changed. Files that are not in it are moved to the folder "replaced" in the
    data folder, or to .xfworker/replaced in the bucket.

    Exit code 0: restored; 1: nothing is changed. Example: `xfworker restore nightly --data labdata`

    Args:
        source: The backup's folder.
        data: The server's data folder; made where it is not there.
        database: Address of the database; SQLite in the data folder by default.
        files: Folder of the files, or s3://bucket/prefix; by default what the settings choose ([files]), else
            data/files.
    """
    from xfworker.api.composition.backups import restore_backup
    from xfworker.api.composition.files_location import files_location
    from xfworker.api.composition.platform import PlatformStorage
    from xfworker.api.settings.file import load_settings

    storage = PlatformStorage(
        data=data.absolute(), database=database, files=files_location(files, load_settings().settings)
    )
    done = restore_backup(storage, source.absolute())
    messages().print(f"restored {done.records} rows and {done.files} files ({done.file_bytes} bytes) from {source}")
    return 0
