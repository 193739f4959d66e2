"""``xfworker job files|download``."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xfworker.api.cli.console import messages, print_json, print_table, results
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.errors import UsageError
from xfworker.domain.files import FileStat, Scope, record_resource
from xfworker.domain.records import Job
from xfworker.services.jobs.results import collect_files


def files(job: int, *, server: Server = None, as_json: Json = False) -> int:
    """
    List the files of a job: its results and its logs.

    Exit code 0: listed; 1: there is no such job. Example: `xfworker job files 12`

    Args:
        job: The job's serial.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    with linked(server) as client:
        serial = client.server.get(Job, job).serial
        folders = [record_resource(source, serial) for source in ("job_result", "job_log")]
        token = client.server.file_token([Scope("list", folder) for folder in folders])
        stats = [stat for folder in folders for stat in client.files.list(token, folder).files]
    if as_json:
        print_json({"files": [_described(stat) for stat in stats]})
        return 0
    rows = [(str(stat.resource), f"{stat.size:,}") for stat in stats]
    print_table(("file", "bytes"), rows, text=("file",))
    return 0


def download(
    job: int, outputs: tuple[str, ...] = (), *, out: Path | None = None, server: Server = None, as_json: Json = False
) -> int:
    """
    Fetch the files of a job's outputs.

    Exit code 0: all are here; 1: one could not be fetched. Example: `xfworker job download 12 mask --out femur`

    Args:
        job: The job's serial.
        outputs: The keys of the outputs; all by default.
        out: The folder; xf-results/job-SERIAL by default. Nothing in it is replaced.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    from xfworker.adapters.disk.filesystem import LocalFilesystem
    from xfworker.adapters.terminal.transfer_bars import transfer_bars

    with linked(server) as client:
        record = client.server.get(Job, job)
        _require_keys(outputs, record)
        chosen = {key: value for key, value in record.outputs.items() if not outputs or key in outputs}
        folder = Path("xf-results") / f"job-{record.serial}" if out is None else out
        with transfer_bars(messages(), shown=not as_json):
            collected = collect_files(client.server, client.files, LocalFilesystem(), chosen, folder)
    for error in collected.errors:
        messages().print(f"xfworker: {error}")
    if as_json:
        paths = {key: [str(path.resolve()) for path in paths] for key, paths in collected.paths.items()}
        print_json({"job_serial": record.serial, "files": paths, "errors": list(collected.errors)})
    else:
        for path in dict.fromkeys(path for paths in collected.paths.values() for path in paths):
            results().print(str(path))
        if not collected.paths and not collected.errors:
            messages().print(f"no output of job {record.serial} ({record.state.value}) has files")
    return 1 if collected.errors else 0


def _require_keys(keys: Iterable[str], job: Job) -> None:
    for key in keys:
        if key not in job.outputs:
            known = ", ".join(job.outputs) or "none"
            raise UsageError(f"job {job.serial} ({job.state.value}) has no output {key!r}; it has: {known}")


def _described(stat: FileStat) -> dict[str, Any]:
    return {"file": str(stat.resource), "size": stat.size, "sha256": stat.sha256, "xxh3": stat.xxh3}
