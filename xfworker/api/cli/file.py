"""``xfworker file``: the files of a server."""

from pathlib import Path
from typing import Any

from cyclopts import App

from xfworker.adapters.http.xf_server import BASE
from xfworker.api.cli.console import messages, print_json, print_table, results
from xfworker.api.cli.help_text import group_help
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.conversion import format_time
from xfworker.domain.disk_space import DiskUse
from xfworker.domain.errors import AccessError, FileError, UsageError
from xfworker.domain.files import FileStat, Resource, Scope, parse_resource, require_file
from xfworker.services.transfers.observed import reporting

_MEASURE_SECONDS = 3600.0

app = App(
    name="file",
    help=group_help(
        "List, store, fetch and remove files of a server. A PATH is userdata/FOLDER/NAME or job_result/12/NAME.",
        "xfworker file list userdata/",
    ),
    help_format="plaintext",
)


@app.command(name="list")
def list_files(path: str = "userdata", *, server: Server = None, as_json: Json = False) -> int:
    """
    List a folder of a server.

    Exit code 0: listed; 1: not allowed; 2: not a path. Example: `xfworker file list userdata/scans`

    Args:
        path: The folder, such as userdata/scans or job_result/12.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    folder = _resource(path)
    with linked(server) as client:
        listing = client.files.list(client.server.file_token([Scope("list", folder)]), folder)
    if as_json:
        document = {
            "path": str(folder),
            "folders": list(listing.folders),
            "files": list(map(_described, listing.files)),
        }
        print_json(document)
        return 0
    rows: list[tuple[str, str, str]] = [(f"{folder}/{name}/", "", "") for name in listing.folders]
    rows += [(str(stat.resource), f"{stat.size:,}", _time(stat)) for stat in listing.files]
    print_table(("file", "bytes", "changed"), rows, text=("file",))
    return 0


@app.command
def put(local: Path, path: str, *, server: Server = None, as_json: Json = False) -> int:
    """
    Store a file on a server; a file that is there is replaced when the new one is complete.

    Exit code 0: stored; 1: not stored; 2: called wrongly. Example: `xfworker file put scan.isq userdata/scans/`

    Args:
        local: The file here.
        path: Where it goes; with a slash at the end, into that folder under its own name.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    from xfworker.adapters.terminal.transfer_bars import transfer_bars

    if not local.is_file():
        raise UsageError(f"{local} is not a file" if local.exists() else f"there is no file {local}")
    target = _file(f"{path}{local.name}" if path.endswith("/") else path)
    with linked(server) as client, transfer_bars(messages(), shown=not as_json):
        token = client.server.file_token([Scope("write", target)])
        stat = client.files.upload(token, local, target, progress=reporting("upload", target))
    if as_json:
        print_json(_described(stat))
    else:
        results().print(f"{target}: {stat.size:,} bytes")
    return 0


@app.command
def get(path: str, local: Path | None = None, *, server: Server = None, as_json: Json = False) -> int:
    """
    Fetch a file of a server; it appears here when it is complete and verified. Nothing here is replaced.

    Exit code 0: fetched; 1: not fetched; 2: called wrongly. Example: `xfworker file get userdata/scans/scan.isq`

    Args:
        path: The file on the server.
        local: The file here, or the folder for it; here under its own name by default.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    from xfworker.adapters.terminal.transfer_bars import transfer_bars

    source = _file(path)
    target = Path(source.filename) if local is None else local / source.filename if local.is_dir() else local
    if target.exists():
        raise UsageError(f"{target} is there already; name another file or folder")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {target.absolute().parent}")
    with linked(server) as client, transfer_bars(messages(), shown=not as_json):
        token = client.server.file_token([Scope("read", source)])
        stat = client.files.download(token, source, target, progress=reporting("download", source))
    if as_json:
        print_json({**_described(stat), "local": str(target.resolve())})
    else:
        results().print(str(target))
    return 0


@app.command
def remove(*paths: str, server: Server = None, as_json: Json = False) -> int:
    """
    Remove files of a server. Each is tried, whatever becomes of the others.

    Exit code 0: all are removed; 1: one is not; 2: called wrongly. Example: `xfworker file remove userdata/old.isq`

    Args:
        paths: The files.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    if not paths:
        raise UsageError("name at least one file")
    resources = [_file(path) for path in dict.fromkeys(paths)]
    removed: list[str] = []
    errors: list[dict[str, Any]] = []
    with linked(server) as client:
        for resource in resources:
            try:
                client.files.delete(client.server.file_token([Scope("delete", resource)]), resource)
            except (FileError, AccessError) as error:
                errors.append({"file": str(resource), "error": str(error)})
                messages().print(f"xfworker: {error}")
                continue
            removed.append(str(resource))
            if not as_json:
                results().print(f"{resource}: removed")
    if as_json:
        print_json({"removed": removed, "errors": errors})
    return 1 if errors else 0


def _resource(path: str) -> Resource:
    try:
        return parse_resource(path.replace("\\", "/"))
    except FileError as error:
        raise UsageError(str(error)) from None


def _file(path: str) -> Resource:
    try:
        return require_file(_resource(path))
    except FileError as error:
        raise UsageError(str(error)) from None


def _described(stat: FileStat) -> dict[str, Any]:
    digests = {"sha256": stat.sha256, "xxh3": stat.xxh3}
    return {"file": str(stat.resource), "size": stat.size, **digests, "modified_at": _time(stat) or None}


def _time(stat: FileStat) -> str:
    return "" if stat.modified_at is None else format_time(stat.modified_at)


@app.command
def usage(*, server: Server = None, as_json: Json = False) -> int:
    """
    Show what files take: those of jobs by workflow, with how much is of obsolete runs, and all others by source.

    For administrators. It looks at every folder, which may take minutes. `xfworker run delete --obsolete` deletes the
    files of obsolete runs. Exit code 0: shown; 1: not allowed. Example: `xfworker file usage`

    Args:
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    from xfworker.adapters.wire.codec import read_answer

    doing = "measure the disk space"
    with linked(server) as client:
        answer = client.transport.request("GET", f"{BASE}/disk-space", doing=doing, read_seconds=_MEASURE_SECONDS)
    if as_json:
        print_json(answer.json())
        return 0
    use = read_answer(DiskUse, answer.json(), doing)
    rows: list[tuple[object, ...]] = [
        (one.workflow_serial, one.project_name, one.workflow_name, f"{one.bytes:,}", f"{one.obsolete_bytes:,}")
        for one in use.workflows
    ]
    rows += [("", "", one.source, f"{one.bytes:,}", "") for one in use.sources]
    print_table(("workflow", "project", "name", "bytes", "of obsolete runs"), rows, text=("project", "name"))
    if not use.is_complete:
        messages().print("xfworker: there are too many folders; some were not looked at")
    return 0
