"""The processes of a simulated laboratory that its world keeps: servers and workers."""

from attrs import define

from tests.simulation.scripts import Runner
from tests.simulation.timeline import Host
from xfworker.services.platform.platform import Platform
from xfworker.services.worker.loop import WorkerLoop


@define(eq=False)
class Server:
    """One server process."""

    host: Host
    platform: Platform

    @property
    def answers(self):
        return not self.host.dead and self.host.resumes_at <= self.host.timeline.now


@define(eq=False)
class WorkerProcess:
    """One worker process with what it runs."""

    host: Host
    loop: WorkerLoop
    runner: Runner
