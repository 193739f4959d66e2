"""``xfworker job``: looks after jobs."""

from cyclopts import App

from xfworker.api.cli.job_bundle import bundle
from xfworker.api.cli.job_control import abort, list_jobs, log, restart, show

app = App(name="job", help="List jobs, look at them, restart and abort them.", help_format="plaintext")

app.command(bundle)
app.command(list_jobs, name="list")
for _command in (show, log, restart, abort):
    app.command(_command)
