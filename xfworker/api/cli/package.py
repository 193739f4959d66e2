"""``xfworker package``: makes, checks, packs and installs packages."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from xfworker.adapters.transfer.partial_file import replacing
from xfworker.api.cli.console import messages, print_json, results
from xfworker.api.cli.help_text import group_help
from xfworker.api.cli.package_folder import package_folder
from xfworker.domain.errors import AccessError, FileError, PackageError, RecordError, UsageError
from xfworker.domain.package import Package, PackageFormat

app = App(
    name="package",
    help=group_help("Make, check, pack and install packages.", "xfworker package check threshold"),
    help_format="plaintext",
)

_KINDS = {
    "task-type": PackageFormat.TASK_TYPE,
    "dependency": PackageFormat.DEPENDENCY,
    "workflow": PackageFormat.WORKFLOW,
}
_NAME = re.compile(r"[a-zA-Z0-9.]{1,50}")

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document.")]


@app.command
def new(
    folder: Path, *, name: str | None = None, kind: Literal["task-type", "dependency", "workflow"] = "task-type"
) -> int:
    """
    Make a package folder to be filled in.

    Exit code 0: made; 2: called wrongly. Example: `xfworker package new threshold --name Lab.Threshold`

    Args:
        folder: The new folder.
        name: The package's name, such as Lab.Threshold; the folder's name by default.
        kind: What kind of package.
    """
    from xfworker.services.packages.template import new_package

    chosen = name or folder.resolve().name
    if not _NAME.fullmatch(chosen):
        raise UsageError(
            f"{chosen!r} is not a package name: letters, digits and dots, at most 50; give one with --name"
        )
    for path in new_package(folder, chosen, _KINDS[kind]):
        results().print(str(path))
    return 0


@app.command
def check(path: Path, *, as_json: Json = False) -> int:
    """
    Check a package and list everything that is wrong with it.

    Exit code 0: valid; 1: not valid; 2: called wrongly. Example: `xfworker package check threshold`

    Args:
        path: The package: a folder or an .xfp file.
        as_json: Print one JSON document with the errors.
    """
    from xfworker.services.packages.check import check_package

    package, errors = None, []
    try:
        with package_folder(path) as folder:
            package = check_package(folder)
    except PackageError as error:
        errors = list(error.faults) or [str(error)]
    if as_json:
        print_json({"valid": not errors, "faults": errors, "package": _described(package)})
    elif package is not None:
        results().print(f"{package} is a valid {_kind(package)} package ({len(package.files)} files)")
    else:
        messages().print(f"{path} is not a valid package:\n  " + "\n  ".join(errors))
    return 1 if errors else 0


@app.command
def pack(folder: Path, *, out: Path | None = None) -> int:
    """
    Check a package folder and write it as .xfp archive; the same files always give the same archive.

    Exit code 0: written; 1: not valid; 2: called wrongly. Example: `xfworker package pack threshold`

    Args:
        folder: The package folder.
        out: The archive, or the folder for it; NAME-VERSION.xfp here by default.
    """
    from xfworker.services.packages.archive import pack as write_archive
    from xfworker.services.packages.check import check_package

    package = check_package(folder)
    target = Path(package.archive_name) if out is None else out / package.archive_name if out.is_dir() else out
    if folder.resolve() in target.resolve().parents:
        raise UsageError(f"{target} lies in the package itself; write the archive elsewhere with --out")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}")
    with replacing(target) as partial:
        write_archive(folder, partial)
    results().print(str(target))
    return 0


@app.command
def install(
    *paths: Path,
    replace: Annotated[bool, Parameter(negative="")] = False,
    server: str | None = None,
    as_json: Json = False,
) -> int:
    """
    Check packages in on a server. A package whose files are there already is left as it is.

    All are checked before the first is installed. Exit code 0: all are installed; 1: one is not.

    Example: `xfworker package install threshold --replace --server xfworker-data`

    Args:
        paths: Task type and dependency packages: folders or .xfp files.
        replace: Replace the files of a version that is there, which jobs that begin later get; for development. Without
            it other files under the same version are refused.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document with the records.
    """
    from xfworker.adapters.terminal.transfer_bars import transfer_bars
    from xfworker.api.composition.client import connected, find_server
    from xfworker.api.settings.file import load_settings
    from xfworker.domain.conversion import to_json
    from xfworker.services.packages.check import check_package
    from xfworker.services.packages.checkin import check_in

    if not paths:
        raise UsageError("name at least one package")
    settings = load_settings().settings
    records: list[dict[str, Any]] = []
    failed = False
    with connected(find_server(server, settings), settings) as client:
        # All are checked before the first is checked in.
        for path in paths:
            with package_folder(path) as folder:
                check_package(folder)
        for path in paths:
            try:
                with package_folder(path) as folder, transfer_bars(messages(), shown=not as_json):
                    done = check_in(client.server, client.files, folder, replace=replace)
            except (RecordError, AccessError, FileError) as error:
                failed = True
                messages().print(f"xfworker: {path}: {error}")
                continue
            record = done.record
            records.append(to_json(record))
            if not as_json:
                state = "installed" if done.is_new else "replaced" if done.is_replaced else "was there"
                results().print(f"{record.noun} {record.serial}: {record.name} {record.version} {state}")
    if as_json:
        print_json(records)
    return 1 if failed else 0


def _kind(package: Package) -> str:
    return next(kind for kind, package_format in _KINDS.items() if package_format is package.format)


def _described(package: Package | None) -> dict[str, Any] | None:
    if package is None:
        return None
    return {
        "package_format": package.format.value,
        "name": package.name,
        "version": package.version,
        "files": list(package.files),
        "script": package.script,
    }
