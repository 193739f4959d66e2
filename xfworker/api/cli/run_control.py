"""``xfworker run priority|copy``: the runs of a server."""

from typing import Any, Literal

from xfworker.api.cli.console import messages, print_json, results
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.change import Change
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import AccessError, RecordError, UsageError
from xfworker.domain.records import Run, RunPriority


def set_priority(
    priority: Literal["Paused", "Normal", "High"],
    runs: tuple[int, ...] = (),
    *,
    server: Server = None,
    as_json: Json = False,
) -> int:
    """
    Say how soon the jobs of runs are handed out: high ones first, paused ones not at all.

    Each is tried. Exit code 0: all are changed; 1: one is not. Example: `xfworker run priority High 12 13`

    Args:
        priority: Paused, Normal or High.
        runs: The runs' serials.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    if not runs:
        raise UsageError("name at least one run")
    changed: list[Run] = []
    errors: list[dict[str, Any]] = []
    with linked(server) as client:
        for serial in dict.fromkeys(runs):
            try:
                run = client.server.update(Run, serial, Change(values={"/priority": RunPriority(priority).value}))
            except (RecordError, AccessError) as error:
                errors.append({"run_serial": serial, "error": str(error)})
                messages().print(f"xfworker: {error}")
                continue
            changed.append(run)
            if not as_json:
                results().print(f"run {run.serial}: {run.priority.value}")
    if as_json:
        print_json({"runs": [to_json(run) for run in changed], "errors": errors})
    return 1 if errors else 0


def copy(run: int, *, name: str = "", server: Server = None, as_json: Json = False) -> int:
    """
    Start a run with the inputs, the sample and the priority of another one, which stays as it is.

    Exit code 0: started; 1: the workflow does not allow it, or does not take these inputs any more.

    Example: `xfworker run copy 12 --name "left femur, again"`

    Args:
        run: The run's serial.
        name: What the copy is called; by default as the run.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print the new run as one JSON document.
    """
    from xfworker.adapters.http.workflow_control import HttpWorkflowControl

    with linked(server) as client:
        copied = HttpWorkflowControl(client.transport).copy_run(run, name=name)
    if as_json:
        print_json(to_json(copied))
    else:
        results().print(f"run {copied.serial}: {copied.name}" if copied.name else f"run {copied.serial}")
    return 0
