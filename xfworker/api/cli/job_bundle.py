"""``xfworker job bundle``: writes a job with everything it needs into one file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from xfworker.adapters.process.python_environment import python_environment
from xfworker.adapters.transfer.partial_file import replacing
from xfworker.api.cli.console import messages, print_json, results
from xfworker.domain.errors import UsageError
from xfworker.domain.files import Resource
from xfworker.ports.file_store import FileStore
from xfworker.ports.xf_server import XFServer
from xfworker.services.bundle.manifest import SUFFIX, Manifest
from xfworker.services.bundle.writing import plan_bundle, write_bundle


def bundle(
    serial: int,
    *,
    out: Path | None = None,
    outputs: bool = True,
    server: str | None = None,
    data: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """
    Write a job with its inputs, configs, package, outputs and environment into one file.

    `xfworker run --bundle FILE` runs it again anywhere, without the server, and with --compare says what is different.
    The bundle holds the job's data, but no token.

    Exit code 0: written; 1: it could not be; 2: called wrongly. Example: `xfworker job bundle 12 --out femur.xfjob`

    Args:
        serial: The job's serial.
        out: The file, or the folder for it; job-SERIAL.xfjob here by default.
        outputs: Whether the files of the outputs and the log go in; without them a later run cannot be compared.
        server: The server's address, or the data folder of one that runs on this computer.
        data: The data folder of a server that does not run, such as that of `xfworker run --data`.
        as_json: Print one JSON document about the bundle.
    """
    if server is not None and data is not None:
        raise UsageError("--server names a server that runs, --data the folder of one that does not; give one of them")
    name = f"job-{serial}{SUFFIX}"
    target = Path(name) if out is None else out / name if out.is_dir() else out
    if not target.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {target.absolute().parent} for the bundle")
    with _opened(server, data) as (records, files):
        manifest = _write(records, files, serial, target, with_outputs=outputs, shown=not as_json)
    if as_json:
        print_json(_described(manifest, target))
    else:
        job = manifest.job
        results().print(f"{target}: job {job.serial} ({job.name or manifest.task.name}), {_amount(manifest)}")
        if manifest.archive is None:
            messages().print(
                "there is no package with its script on the server, so the bundle holds none; name one when it is run: "
                f"xfworker run SCRIPT --bundle {target}"
            )
    return 0


def _write(
    server: XFServer, files: FileStore, serial: int, target: Path, *, with_outputs: bool, shown: bool
) -> Manifest:
    from xfworker.adapters.clock import SystemClock
    from xfworker.adapters.terminal.transfer_bars import transfer_bars

    manifest = plan_bundle(
        server, files, serial, clock=SystemClock(), bundled_on=python_environment(), with_outputs=with_outputs
    )
    with transfer_bars(messages(), shown=shown) as bars, replacing(target) as partial:

        def report(_: Resource, done: int, total: int) -> None:
            bars.show(f"writing {target.name}", done, total)

        return write_bundle(server, files, manifest, partial, progress=report)


@contextmanager
def _opened(server: str | None, data: Path | None) -> Iterator[tuple[XFServer, FileStore]]:
    if data is not None:
        from xfworker.api.composition.local_platform import local_platform

        if not data.is_dir():
            raise UsageError(f"there is no folder {data}")
        with local_platform(data) as platform:
            yield platform.server, platform.files
        return
    from xfworker.api.composition.client import connected, find_server
    from xfworker.api.settings.file import load_settings

    settings = load_settings().settings
    with connected(find_server(server, settings), settings) as client:
        yield client.server, client.files


def _described(manifest: Manifest, path: Path) -> dict[str, Any]:
    return {
        "path": str(path.resolve()),
        "job_serial": manifest.job.serial,
        "has_package": manifest.archive is not None,
        "bytes": manifest.size,
        "files": [
            {"resource": str(file.resource), "role": file.role, "size": file.size, "sha256": file.sha256}
            for file in manifest.files
        ],
    }


def _amount(manifest: Manifest) -> str:
    count = len(manifest.files)
    return f"{count} file{'' if count == 1 else 's'}, {manifest.size:,} bytes"
