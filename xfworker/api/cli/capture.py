"""``xfworker capture``: records jobs of a real platform, and looks into what was recorded."""

import json as json_module
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from xfworker.adapters.transfer.partial_file import replacing
from xfworker.api.capture import recorder_path
from xfworker.api.cli.console import messages, print_json, print_table, results
from xfworker.api.cli.help_text import group_help
from xfworker.domain.errors import UsageError
from xfworker.services.capture.calls import described, short
from xfworker.services.capture.inputs import captured_inputs
from xfworker.services.capture.inventory import file_names, left_out
from xfworker.services.capture.manifest import CALLS, LOG, MANIFEST
from xfworker.services.capture.reading import OpenCapture, as_document

app = App(
    name="capture",
    help=group_help(
        "Record a job on a real platform's worker, and look into what was recorded (docs/capture.md).",
        "xfworker capture init packages/segment",
    ),
    help_format="plaintext",
)

_RECORDER = "xfcapture.py"
_MAIN = "main.py"


@app.command
def init(
    package: Path,
    *,
    folder: str = "",
    userdata: str = "",
    file_mb: int | None = None,
    total_mb: int | None = None,
    images: Literal["full", "metadata"] = "full",
    blank_names: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """
    Lay the recorder, xfcapture.py, beside the script of a task type package.

    Then write `import xfcapture` above `import xfworkerutil` in the script. Its next jobs leave a capture each, which
    `xfworker run --capture FILE` plays back without a server. The options become the settings of this package;
    environment variables of the worker (XFCAPTURE_FOLDER and so on) go before them.

    Exit code 0: done; 2: called wrongly.
    Example: `xfworker capture init packages/segment --folder /mnt/captures --file-mb 500 --blank-names`

    Args:
        package: The package's folder.
        folder: A folder on the worker for captures; they go to user data where it is empty.
        userdata: The folder of user data for captures; xfcapture by default.
        file_mb: Files larger than this (in MB) are only described; 256 by default.
        total_mb: The most that all files of a capture may hold (in MB); 2048 by default.
        images: Whether pixels of images are captured, or their metadata only.
        blank_names: Blank patient names and indices where documented keys hold them.
    """
    if not package.is_dir():
        raise UsageError(f"there is no folder {package}; name the folder of a task type package")
    settings = {
        "XFCAPTURE_FOLDER": folder,
        "XFCAPTURE_USERDATA": userdata,
        "XFCAPTURE_FILE_MB": "" if file_mb is None else str(_megabytes("--file-mb", file_mb)),
        "XFCAPTURE_TOTAL_MB": "" if total_mb is None else str(_megabytes("--total-mb", total_mb)),
        "XFCAPTURE_IMAGES": images,
        "XFCAPTURE_BLANK_NAMES": "1" if blank_names else "",
    }
    target = package / _RECORDER
    with replacing(target) as partial:
        partial.write_text(_with_settings(recorder_path().read_text("utf-8"), settings), "utf-8", newline="\n")
    results().print(f"{target}")
    scripts = _scripts(package)
    if not any(re.search(r"^import xfcapture\b", path.read_text("utf-8", "replace"), re.MULTILINE) for path in scripts):
        where = str(scripts[0]) if len(scripts) == 1 else "the script"
        messages().print(f"now write this line above `import xfworkerutil` in {where}: import xfcapture")
    return 0


def _scripts(package: Path) -> list[Path]:
    """Give what may be the package's script: ``main.py``, else every Python file that lies beside the recorder."""
    main = package / _MAIN
    return [main] if main.is_file() else sorted(path for path in package.glob("*.py") if path.name != _RECORDER)


@app.command
def info(
    file: Path,
    *,
    calls: Annotated[bool, Parameter(negative="")] = False,
    log: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """
    Say what a capture holds: how the job ended, its inputs, files, versions, and what is missing.

    Exit code 0: done; 2: it is not a capture. Example: `xfworker capture info job-17.xfcap --calls`

    Args:
        file: The capture.
        calls: List the calls, one a line, in the order in which they were made.
        log: Print what the script wrote.
        as_json: Print one JSON document; with --calls it holds the calls in their recorded form.
    """
    with OpenCapture(file) as capture:
        recorded = capture.calls()
        if as_json:
            document: dict[str, Any] = {**as_document(capture), "inputs": captured_inputs(recorded)}
            if calls:
                document["calls"] = [{"number": c.number, "call": c.name, "args": dict(c.args)} for c in recorded]
            if log:
                document["log"] = capture.log()
            print_json(document)
            return 0
        if calls:
            for call in recorded:
                came = f" raised {call.raised.get('class')}" if call.raised else f" -> {short(call.result)}"
                often = f" ({call.times} times)" if call.times > 1 else ""
                results().print(f"{call.number:>5}  {described(call.name, call.args)}{came}{often}")
        if log:
            results().print(capture.log(), end="")
        if not calls and not log:
            _describe(capture, recorded)
    return 0


@app.command
def verify(file: Path) -> int:
    """
    Read a whole capture and hold it against its digests.

    Exit code 0: it is complete; 1: it is damaged; 2: it is not a capture.

    Example: `xfworker capture verify job-17.xfcap`

    Args:
        file: The capture.
    """
    with OpenCapture(file) as capture:
        capture.verify()
        manifest = capture.manifest
    results().print(f"{file}: complete, {manifest.calls} calls, {len(manifest.files)} files")
    return 0


@app.command
def unpack(file: Path, folder: Path) -> int:
    """
    Unpack a capture into a new folder: the package, the files by their names, the calls and the log.

    Exit code 0: done; 1: it is damaged; 2: called wrongly. Example: `xfworker capture unpack job-17.xfcap job-17`

    Args:
        file: The capture.
        folder: The folder to be; there must be nothing yet, or an empty folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already and not an empty folder; name another one")
    with OpenCapture(file) as capture:
        manifest = capture.manifest
        names = file_names(capture.calls())
        for name in ("package", "files"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        capture.unpack_package(folder / "package")
        capture.unpack_files(folder / "files")
        for key, content in manifest.files.items():
            if content.entry is not None and key in names:
                (folder / "files" / key).replace(_unique(folder / "files", names[key]))
        for name in (CALLS, LOG):
            if name in manifest.entries:
                capture.extract(manifest.entries[name], folder / name)
        (folder / MANIFEST).write_text(json_module.dumps(manifest.document, indent=1), "utf-8")
    results().print(f"{folder}")
    return 0


@app.command
def to_bundle(file: Path, *, out: Path | None = None) -> int:
    """
    Write a captured job as a job bundle, where its records fit those of this package.

    A bundle (`xfworker run --bundle FILE`) runs on a server of its own, so that the script may ask it anything.

    Exit code 0: written; 1: it is damaged; 2: its records do not fit, or called wrongly.
    Example: `xfworker capture to-bundle job-17.xfcap --out job-17.xfjob`

    Args:
        file: The capture.
        out: The file to write, or the folder for it; the capture's name with .xfjob here by default.
    """
    from xfworker.adapters.disk.filesystem import LocalFilesystem
    from xfworker.adapters.process.owned_folder import owned_folder
    from xfworker.api.cli.kept_script import packed_script
    from xfworker.api.composition.target import load_target
    from xfworker.services.bundle.manifest import SUFFIX
    from xfworker.services.capture.bundling import plan_bundle, write_bundle

    name = f"{file.stem}{SUFFIX}"
    target = Path(name) if out is None else out / name if out.is_dir() else out
    if not target.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {target.absolute().parent} for the bundle")
    with OpenCapture(file) as capture, owned_folder("bundle", LocalFilesystem()) as scratch:
        planned = plan_bundle(capture.manifest, capture.calls())
        folders = {name: scratch / name for name in ("contents", "source", "packed")}
        for folder in folders.values():
            folder.mkdir()
        capture.unpack_files(folders["contents"])
        capture.unpack_package(folders["source"])
        script = folders["source"] / Path(capture.manifest.script or _MAIN).name
        package = None
        if script.is_file():
            is_package = (folders["source"] / "metadata.json").is_file()
            runnable = load_target(folders["source"] if is_package else script, folders["packed"])
            package = packed_script(runnable, folders["packed"])
        with replacing(target) as partial:
            manifest = write_bundle(planned, folders["contents"], partial, package)
    results().print(f"{target}: job {manifest.job.serial}, {len(manifest.files)} files")
    for sentence in planned.left_out:
        messages().print(sentence)
    if package is None:
        messages().print(f"it holds no script; name one when it is run: xfworker run SCRIPT --bundle {target}")
    return 0


def _unique(folder: Path, name: str) -> Path:
    from xfworker.adapters.disk.filesystem import LocalFilesystem

    return LocalFilesystem().unique_path(folder / name)


def _megabytes(option: str, value: int) -> int:
    if value < 0:
        raise UsageError(f"{option} is a number of megabytes of at least 0, not {value}")
    return value


def _with_settings(source: str, settings: dict[str, str]) -> str:
    lines = source.split("\n")
    for name, value in settings.items():
        if value:
            lines = [f"{name} = {value!r}" if line.startswith(f"{name} = ") else line for line in lines]
    return "\n".join(lines)


def _describe(capture: OpenCapture, calls: list[Any]) -> None:
    manifest = capture.manifest
    console = results()
    serial = "a job" if manifest.job_serial is None else f"job {manifest.job_serial}"
    console.print(
        f"{capture.path}: {serial}, {manifest.ending}, {manifest.calls} calls, captured {manifest.created_at}"
    )
    message = (manifest.outcome.get("exception") or {}).get("message")
    if message:
        console.print(f"  {message}")
    modules = ", ".join(f"{name} {module.get('version') or ''}".strip() for name, module in manifest.modules.items())
    console.print(
        f"  modules: {modules}; Python {manifest.environment.get('python')} on {manifest.environment.get('platform')}"
    )
    kept = [file for file in manifest.files.values() if file.entry is not None]
    console.print(
        f"  {len(kept)} files, {sum(file.size for file in kept):,} bytes; package: {len(manifest.package)} files"
    )
    inputs = captured_inputs(calls)
    if inputs:
        print_table(("input", "value"), [(key, short(value)) for key, value in inputs.items()], text=("value",))
    for name, reason in left_out(calls).items():
        console.print(f"  left out: {name}: {reason}")
    for note in manifest.notes:
        console.print(f"  note: {note}")
