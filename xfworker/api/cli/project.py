"""``xfworker project``: the projects of a server."""

from cyclopts import App

from xfworker.api.cli.help_text import group_help
from xfworker.api.cli.record_list import list_projects

app = App(
    name="project",
    help=group_help("List projects.", "xfworker project list"),
    help_format="plaintext",
)

app.command(list_projects, name="list")
