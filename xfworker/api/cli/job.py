"""``xfworker job``: looks after jobs."""

from cyclopts import App

from xfworker.api.cli.job_bundle import bundle

app = App(name="job", help="List jobs, look at them, restart and abort them.", help_format="plaintext")

app.command(bundle)
