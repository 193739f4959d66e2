"""HTCondor, by ``condor_submit``, ``condor_rm`` and ``condor_q``."""

import re
from collections.abc import Mapping, Sequence

from xfworker.adapters.batch.cluster_commands import ClusterCommands
from xfworker.adapters.batch.commands import run_command
from xfworker.ports.batch_system import BatchJob

_STATES = {"1": "IDLE", "2": "RUNNING", "3": "REMOVED", "4": "COMPLETED", "5": "HELD", "7": "SUSPENDED"}
# HTCondor says nothing of the job in its environment, so the worker gets it by an option.
_TEMPLATE = """\
batch_name = {{name}}
universe = vanilla
executable = {{program}}
transfer_executable = false
arguments = "{{arguments}} --batch-job htcondor:$(ClusterId)"
environment = "XFTEMP=/tmp {{variables}}"
should_transfer_files = no
log = {{logs}}/htcondor-$(ClusterId).events
output = {{logs}}/htcondor-$(ClusterId).log
error = {{logs}}/htcondor-$(ClusterId).log
request_cpus = {{cores}}
request_memory = {{memory_mib?}}MB
request_gpus = {{gpus?}}
accounting_group = {{account?}}
allowed_job_duration = {{seconds}}
kill_sig = SIGTERM
job_max_vacate_time = 60
max_retries = 0
queue 1
"""


class HtCondor(ClusterCommands):
    """Implements :class:`~xfworker.ports.batch_system.BatchSystem`."""

    name = "htcondor"
    title = "HTCondor"
    template = _TEMPLATE
    submits = ("condor_submit", "-terse", "-")
    # The first and the last job of what was submitted: `12.0 - 12.0`.
    submitted = re.compile(r"(\d+)\.\d+ - \d+\.\d+")
    cancels = ("condor_rm",)

    def quoted(self, words: Sequence[str]) -> str:
        """Write words inside a string in double quotes, as submit descriptions have them."""
        return " ".join(_quoted(word) for word in words)

    def listed(self) -> dict[str, str]:
        answer = run_command(["condor_q", "-af", "ClusterId", "JobStatus"], "list batch jobs of HTCondor")
        pairs = [line.split() for line in answer.splitlines()]
        return {pair[0]: _STATES.get(pair[1], pair[1]) for pair in pairs if len(pair) == 2}  # noqa: PLR2004  id, state

    def own_job(self, environment: Mapping[str, str]) -> BatchJob | None:  # noqa: ARG002  it says nothing there
        return None


def _quoted(word: str) -> str:
    doubled = word.replace('"', '""')
    if re.fullmatch(r"[^\s']+", doubled):
        return doubled
    return "'" + doubled.replace("'", "''") + "'"
