"""``xfworker workflow``: imports and exports workflows, starts them and looks after them."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from xfworker.api.cli.console import print_json, results
from xfworker.api.cli.help_text import group_help
from xfworker.api.cli.package_folder import package_folder
from xfworker.api.cli.workflow_board import board
from xfworker.api.cli.workflow_control import run, start, status, stop
from xfworker.api.cli.workflow_export import export
from xfworker.api.cli.workflow_results import show_results

app = App(
    name="workflow",
    help=group_help("Import and export workflows, start them and look after them.", "xfworker workflow status 3"),
    help_format="plaintext",
)

app.command(show_results, name="results")
for _command in (start, stop, run, status, board, export):
    app.command(_command)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document.")]


@app.command(name="import")
def import_package(
    path: Path, *, project: str = "Default", name: str | None = None, server: str | None = None, as_json: Json = False
) -> int:
    """
    Make a workflow in a project from a workflow package. It is a draft until it is started.

    Exit code 0: made; 1: it could not be; 2: called wrongly. Example: `xfworker workflow import bone_density`

    Args:
        path: The workflow package: a folder or an .xfp file.
        project: The project's name; it is made where there is none.
        name: The workflow's name; the package's by default.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document with the workflow and its tasks.
    """
    from xfworker.api.composition.client import connected, find_server
    from xfworker.api.settings.file import load_settings
    from xfworker.domain.conversion import to_json
    from xfworker.services.packages.workflow_import import import_workflow

    settings = load_settings().settings
    with connected(find_server(server, settings), settings) as client, package_folder(path) as folder:
        done = import_workflow(client.server, folder, project=project, name=name)
    if as_json:
        print_json({**to_json(done.workflow), "tasks": [to_json(task) for task in done.tasks]})
    else:
        results().print(f"workflow {done.workflow.serial}: {done.workflow.name}, {len(done.tasks)} tasks")
    return 0
