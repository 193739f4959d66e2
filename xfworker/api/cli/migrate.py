"""``xfworker migrate``: moves everything that a server keeps to another database and another store of files."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from xfworker.api.cli.console import messages, print_json

app = App(name="migrate", help_format="plaintext")


@app.default
def migrate(
    *,
    source: Annotated[Path, Parameter(name="--from")] = Path("xfworker-data"),
    source_database: Annotated[str | None, Parameter(name="--from-database")] = None,
    source_files: Annotated[str | None, Parameter(name="--from-files")] = None,
    to: str | None = None,
    files: str | None = None,
    data: Path | None = None,
    read_back: bool = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """
    Move everything that a server keeps to another database and another store of files.

    The old is only read and stays as it is; its server must not run. Records are copied one by one with their serials,
    lock versions and times, files with their digests, and the secret, so that all tokens stay good. At the end
    everything is compared. A command that was ended goes on where it was, when it is given again. A target that holds
    something else is refused.

    Exit code 0: moved and compared; 1: not the same, or a store failed; 2: called wrongly, or the target is not empty.
    Example: `xfworker migrate --from labdata --to postgresql://xf@db/xf --files s3://bucket/lab`

    Args:
        source: The server's data folder.
        source_database: Address of the server's database; SQLite in its data folder by default.
        source_files: Folder of the server's files, or s3://bucket/prefix; files in its data folder by default.
        to: Address of the new database; SQLite in the new data folder by default.
        files: New folder of the files, or s3://bucket/prefix, which is reached as [files] in the settings says; files
            in the new data folder by default.
        data: The new data folder, which holds the secret; that of --from with -migrated behind its name by default.
        read_back: Read every file from the new store again and compare it, not only the digests that the store keeps.
        as_json: Print one JSON document.
    """
    from xfworker.api.composition.files_location import stated_location
    from xfworker.api.composition.migration import migrate as move
    from xfworker.api.composition.platform import PlatformStorage
    from xfworker.api.settings.file import load_settings

    settings = load_settings().settings
    old = source.absolute()
    new = old.with_name(f"{old.name}-migrated") if data is None else data.absolute()
    moved = move(
        PlatformStorage(
            data=old,
            database=source_database,
            files=None if source_files is None else stated_location(source_files, settings),
        ),
        PlatformStorage(data=new, database=to, files=None if files is None else stated_location(files, settings)),
        messages().print,
        read_back=read_back,
    )
    records = sum(moved.records.values())
    if as_json:
        print_json(
            {
                "data": str(new),
                "records": moved.records,
                "files": moved.files,
                "file_bytes": moved.file_bytes,
                "copied_files": moved.copied_files,
            }
        )
    messages().print(
        f"moved and compared {records} rows and {moved.files} files ({moved.file_bytes} bytes); serve them with: "
        f"xfworker serve --data {new}" + (" --database ..." if to else "") + (f" --files {files}" if files else ""),
        soft_wrap=True,
    )
    return 0
