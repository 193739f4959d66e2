"""``xfworker task``: the tasks of a server's workflows."""

from cyclopts import App

from xfworker.api.cli.help_text import group_help
from xfworker.api.cli.record_list import list_tasks

app = App(
    name="task",
    help=group_help("List tasks.", "xfworker task list --workflow 3"),
    help_format="plaintext",
)

app.command(list_tasks, name="list")
