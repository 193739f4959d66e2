"""``xfworker job``: looks after jobs."""

from cyclopts import App

from xfworker.api.cli.help_text import group_help
from xfworker.api.cli.job_append import append
from xfworker.api.cli.job_bundle import bundle
from xfworker.api.cli.job_control import abort, list_jobs, log, restart, show
from xfworker.api.cli.job_files import download, files
from xfworker.api.cli.job_inputs import finish, inputs, set_inputs

app = App(
    name="job",
    help=group_help(
        "List jobs, look at them and their files, give them values, restart them.",
        "xfworker job list --state Failed",
    ),
    help_format="plaintext",
)

app.command(list_jobs, name="list")
app.command(set_inputs, name="set")
for _command in (show, log, files, download, inputs, finish, restart, abort, append, bundle):
    app.command(_command)
