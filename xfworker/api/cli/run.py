"""``xfworker run``: runs a script or a task type package on a server of its own."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from xfworker.api.cli.items import Inputs, earlier_project, earlier_values, is_item, read_inputs
from xfworker.api.cli.kept_script import keep_script
from xfworker.api.cli.local_run import LocalRunOptions, local_run
from xfworker.api.cli.package_folder import package_folder
from xfworker.api.cli.record_list import list_runs
from xfworker.api.cli.run_control import copy, set_priority
from xfworker.api.cli.run_deletion import delete
from xfworker.api.composition.local_dependencies import local_installations
from xfworker.api.composition.target import Target, load_target
from xfworker.domain.errors import UsageError
from xfworker.domain.job_inputs import complete_inputs
from xfworker.services.comparison.difference import Tolerance
from xfworker.services.jobs.staging import StagePlan, stage_job

app = App(name="run", help_format="plaintext")

app.command(list_runs, name="list")
app.command(set_priority, name="priority")
app.command(copy)
app.command(delete)


@app.default
def run(  # noqa: C901  what each option goes with
    target: Path | None = None,
    *items: str,
    out: Path = Path("xf-results"),
    own_folder: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
    keep: Annotated[bool, Parameter(negative="")] = False,
    data: Path | None = None,
    open: Annotated[bool, Parameter(negative="")] = False,  # noqa: A002  the option's name
    dependency: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    bundle: Path | None = None,
    capture: Path | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    compare: Annotated[bool, Parameter(negative="")] = False,
    absolute: float = 0.0,
    relative: float = 1e-9,
) -> int:
    """
    Run a task script or a task type package on a server of its own.

    Exit code 0: done; 1: failed; 2: called wrongly; 3: handed over to a person. With --capture and --compare 0: as it
    was captured; 1: not.

    Example: `xfworker run threshold.py image@scan.aim lower=320 --out results`
    Again: `xfworker run --bundle femur.xfjob --compare`
    Captured: `xfworker run --capture job-17.xfcap edited.py --compare --set threshold=350`

    Args:
        target: A Python script, a task type package folder, or an .xfp archive. With --bundle or --capture it is run
            instead of the one in there.
        items: Inputs. key=value (a number, true, false or a string; typed by the package's interface where there is
            one), key:=json (any JSON value), key@file (an image becomes an Image, a table a CSV, all else a
            ForeignFile). A Sequence takes a JSON list, or the item several times; key@job:12:mask is an output of an
            earlier job in the --data folder, key@task:7:volume the sequence of a task's outputs. With --bundle the
            items replace inputs of the bundle.
        out: Folder for output files; it is made when there are any.
        own_folder: Put the files of this run into a folder of its own in there, named for what is run and numbered.
        json: Print the finished job's record with its outputs and files as one JSON document.
        keep: Leave the server's data and the working directories where they are, and say where.
        data: Folder for the server's data, which stays; a temporary one by default.
        open: Show the job on the server's page in the browser afterwards, until Ctrl-C.
        dependency: A dependency package, folder or .xfp file, that is installed for the script in an environment of its
            own, which is kept for later runs; may be repeated.
        bundle: Run the job of this bundle (`xfworker job bundle`) with its own inputs, but for those that are given.
        capture: Run the job of this capture (`xfworker capture`), which was recorded on a real platform, without any
            server.
        set_: With --capture: an input in place of the captured one, key=value or key:=json; may be repeated.
        compare: Compare the outputs with those in the bundle or capture; exit code 1 where they differ.
        absolute: By how much numbers and voxels (in raw values) may differ when compared.
        relative: By how much more, as a part of the expected value.
    """
    from xfworker.adapters.disk.filesystem import LocalFilesystem
    from xfworker.adapters.process.owned_folder import owned_folder
    from xfworker.api.composition.image_formats import image_formats

    if set_ and capture is None:
        raise UsageError("--set replaces inputs of a --capture; without one write the ITEMs themselves: key=value")
    if bundle is not None and capture is not None:
        raise UsageError("--bundle and --capture are two jobs; name one of them")
    if own_folder:
        named = target or bundle or capture
        out = LocalFilesystem().unique_path(out / (named.resolve().stem if named else "run"))
    if capture is not None:
        from xfworker.api.cli.run_capture import CaptureRunOptions, run_capture

        if data is not None or dependency:
            raise UsageError("a capture is run without a server, in this Python: leave out --data and --dependency")
        if target is not None and is_item(str(target)) and not target.exists():
            items, target = (str(target), *items), None
        options_of_capture = CaptureRunOptions(out=out, as_json=json, keep=keep)
        tolerance = Tolerance(absolute=absolute, relative=relative) if compare else None
        return run_capture(capture, (*items, *set_), options_of_capture, target=target, tolerance=tolerance)
    with ExitStack() as stack:
        packages = stack.enter_context(owned_folder("dependencies", LocalFilesystem()))
        folders = [stack.enter_context(package_folder(path)) for path in dependency]
        installations = local_installations(folders, packages) if folders else ()
        options = LocalRunOptions(out=out, as_json=json, keep=keep, data=data, installations=installations, open=open)
        if bundle is not None:
            from xfworker.api.cli.run_bundle import run_bundle

            # With --bundle the first word may be an input as well: a TARGET is a path.
            if target is not None and is_item(str(target)) and not target.exists():
                items, target = (str(target), *items), None
            tolerance = Tolerance(absolute=absolute, relative=relative) if compare else None
            return run_bundle(bundle, items, options, target=target, tolerance=tolerance)
        if compare:
            raise UsageError("--compare needs the --bundle or --capture to compare with")
        if target is None:
            raise UsageError(
                "name a TARGET to run: a script, a task type package folder or an .xfp file; or a --bundle or --capture"
            )
        with owned_folder("target", LocalFilesystem()) as scratch:
            loaded = load_target(target, scratch)
            inputs = read_inputs(items, loaded.interface, image_formats())
            if inputs.earlier and data is None:
                key = next(iter(inputs.earlier))
                raise UsageError(
                    f"{key}: earlier jobs are in the folder that was given as --data; give it here as well"
                )
            with local_run(options) as local:
                server = local.platform.server
                inputs.values |= earlier_values(server, inputs, loaded.interface)
                plan = _plan(loaded, inputs, earlier_project(server, inputs))
                with local.bars():
                    job = stage_job(server, local.platform.files, plan)
                    if keep or data is not None:
                        keep_script(server, local.platform.files, loaded, job.task_serial)
                return local.run_job(loaded, job).code


def _plan(target: Target, inputs: Inputs, project_serial: int | None) -> StagePlan:
    interface = target.interface or {}
    values = complete_inputs(interface, inputs.values)
    return StagePlan(
        name=target.name,
        task_type=target.task_type,
        version=target.version,
        interface=interface,
        values={key: value for key, value in values.items() if key not in {*inputs.files, *inputs.sequences}},
        files=inputs.files,
        sequences=inputs.sequences,
        project_serial=project_serial,
    )
