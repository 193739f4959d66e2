"""``xfworker workflow export``: a workflow as a package that another server imports."""

from pathlib import Path

from xfworker.adapters.transfer.partial_file import replacing
from xfworker.api.cli.console import print_json, results
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.errors import UsageError
from xfworker.domain.package import ARCHIVE_SUFFIX
from xfworker.services.packages.workflow_export import export_workflow, package_identity
from xfworker.services.packages.workflow_steps import workflow_steps


def export(
    workflow: int,
    *,
    name: str | None = None,
    version: str | None = None,
    out: Path | None = None,
    server: Server = None,
    as_json: Json = False,
) -> int:
    """
    Write a workflow as a workflow package, which `xfworker workflow import` makes the same workflow from.

    The package names the task types that it needs, and does not hold them. An input that a package cannot hold, such as
    a fixed value that is not a number, string or bool, is named, and nothing is written.

    Exit code 0: written; 1: it cannot be; 2: called wrongly. Example: `xfworker workflow export 3 --out bone.xfp`

    Args:
        workflow: The workflow's serial.
        name: The package's name; that of the package it came from, else made of the workflow's name.
        version: The package's version, four numbers with dots; that of the package it came from, else 1.0.0.0.
        out: The archive, or the folder for it; NAME-VERSION.xfp here by default.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document about the package.
    """
    with linked(server) as client:
        record, steps = workflow_steps(client.server, workflow)
    known_name, known_version = package_identity(record)
    name, version = name or known_name, version or known_version
    content = export_workflow(record, steps, name=name, version=version)
    # The name is checked by now: letters, digits and dots.
    archive = f"{name}-{version}{ARCHIVE_SUFFIX}"
    target = Path(archive) if out is None else out / archive if out.is_dir() else out
    if not target.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {target.absolute().parent} for the package")
    with replacing(target) as partial:
        partial.write_bytes(content)
    if as_json:
        print_json({"file": str(target), "name": name, "version": version, "tasks": len(steps), "bytes": len(content)})
    else:
        results().print(f"{target}: workflow {record.serial} ({record.name}), {len(steps)} tasks", markup=False)
    return 0
