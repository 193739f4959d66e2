"""``xfworker task``: the tasks of a server's workflows."""

from cyclopts import App

from xfworker.api.cli.record_list import list_tasks

app = App(name="task", help="List tasks.", help_format="plaintext")

app.command(list_tasks, name="list")
