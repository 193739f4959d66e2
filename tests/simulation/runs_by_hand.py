"""Somebody who runs jobs on a computer of their own, as ``xfworker job run`` does: each is claimed by its serial."""

from contextlib import suppress

from attrs import define, field

from tests.simulation.network import Wire
from tests.simulation.timeline import Host
from xfworker.domain.errors import XFWorkerError
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Worker

_BETWEEN_SECONDS = 300.0


@define(eq=False)
class RunsByHand:
    """
    The computer of that person, in the seeds that have one.

    Attributes:
        runner: What runs its scripts.
    """

    world: object
    host: Host = field(init=False)
    runner: object = None

    @host.default
    def _own_host(self):
        return Host(self.world.timeline, "runs by hand")

    def begin(self, bearer):
        """Begin to look for jobs."""
        if self.world.chances["job run by hand"] > 0.0:
            self.world.timeline.spawn(self.host, lambda: self._live(bearer), "runs by hand")

    def _live(self, bearer):
        world, clock = self.world, self.host.clock()
        self.runner, executor = world.runner_and_executor(self.host)
        server = world.clients(Wire(world, self.host), bearer).server
        while not world.luck.ended:
            clock.sleep(world.luck.between("runs by hand/next", 1.0, _BETWEEN_SECONDS))
            if world.luck.strikes("runs by hand/one", world.chances["job run by hand"]):
                with suppress(XFWorkerError):
                    self._run_one(executor, server)

    def _run_one(self, executor, server):
        ready = server.find(Job, {"state": JobState.READY})
        if not ready:
            return
        job = self.world.luck.choice("runs by hand/which", ready)
        worker = executor.queue.register(Worker(name="by hand", metadata={"local": True}))
        lease = executor.queue.claim(worker.serial, job_serial=job.serial)
        executor.run(lease, self.runner.filesystem.make_working_directory("job-"))
