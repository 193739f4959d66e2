"""A process runner that has to fork every script that can be started at all."""

from xfworker.adapters.process.runner import ProcessRunner
from xfworker.api.composition.script_preload import PRELOAD


class ForkingRunner(ProcessRunner):
    def __init__(self, **options):
        super().__init__(preload=[PRELOAD], **options)

    def _spawn(self, call, environment):
        assert not call.working_directory.exists(), f"{call.command} was not forked"
        return super()._spawn(call, environment)


def forked_processes(runner):
    """Give the processes from which the scripts of a runner are forked, the one that was used last at the end."""
    return list(runner._fork_servers._servers.values())  # noqa: SLF001  nobody else is to know of them
