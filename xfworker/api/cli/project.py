"""``xfworker project``: the projects of a server."""

from cyclopts import App

from xfworker.api.cli.record_list import list_projects

app = App(name="project", help="List projects.", help_format="plaintext")

app.command(list_projects, name="list")
