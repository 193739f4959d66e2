"""``xfworker backup``: a copy of everything that a server keeps."""

from pathlib import Path

from cyclopts import App

from xfworker.api.cli.console import messages

app = App(name="backup", help_format="plaintext")


@app.default
def backup(
    target: Path, *, data: Path = Path("xfworker-data"), database: str | None = None, files: str | None = None
) -> int:
    """
    Copy everything that a server keeps into a new folder. The server may run meanwhile.

    Exit code 0: complete and checked; 1: not made. Example: `xfworker backup nightly --data labdata`

    Args:
        target: The new folder. It holds the server's secret, so keep it where only administrators can read.
        data: The server's data folder.
        database: Address of the database; SQLite in the data folder by default.
        files: Folder of the files, or s3://bucket/prefix; by default what the settings choose ([files]), else
            data/files.
    """
    from xfworker.api.composition.backups import make_backup
    from xfworker.api.composition.files_location import files_location
    from xfworker.api.composition.platform import PlatformStorage
    from xfworker.api.settings.file import load_settings

    storage = PlatformStorage(
        data=data.absolute(), database=database, files=files_location(files, load_settings().settings)
    )
    done = make_backup(storage, target.absolute())
    messages().print(f"backed up {done.records} rows and {done.files} files ({done.file_bytes} bytes) to {target}")
    return 0
