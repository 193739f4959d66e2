"""Makes the scripts of local targets ready for the dispatcher."""

import os
from collections.abc import Mapping

from attrs import define

from xfworker.api.composition.shim_folder import SHIM_FOLDER
from xfworker.api.composition.target import Target
from xfworker.api.settings.file import CONFIG_VARIABLE
from xfworker.domain.errors import JobError
from xfworker.ports.job_queue import Lease
from xfworker.services.worker.job_executor import PreparedScript


@define(frozen=True)
class TargetSource:
    """
    Runs targets where they lie, with this interpreter.

    Attributes:
        targets: Targets by the name of their task type.
    """

    targets: Mapping[str, Target]

    def prepare(self, lease: Lease) -> PreparedScript:
        """Make ready what the job's script needs."""
        target = self.targets.get(lease.task_type.name)
        if target is None:
            raise JobError(f"job {lease.job.serial} is of task type {lease.task_type.name}, which is not run here")
        return PreparedScript(
            command=target.command,
            environment=os.environ,
            module_folders=(SHIM_FOLDER,),
            settings=script_settings(os.environ),
            time_limit_seconds=target.time_limit_seconds,
            memory_limit_bytes=target.memory_limit_bytes,
        )


def script_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """
    Give the settings for scripts on a server of one's own: a settings file is about other servers, so it is left out.

    Events below a warning are left out as well, unless the caller's environment asks for them.
    """
    return {CONFIG_VARIABLE: "", _LEVEL: environment.get(_LEVEL, "warning")}


_LEVEL = "XFWORKER_LOGGING_LEVEL"
