"""Scripts as processes of the simulation, started by a worker."""

from attrs import define, field

from tests.simulation.interpreter import Interpreter, exit_code_of
from tests.simulation.network import RemoteFiles, Wire
from tests.simulation.task_script import Script
from tests.simulation.timeline import Host
from tests.simulation.versions import Version
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.domain.job_arguments import read_job_arguments
from xfworker.domain.job_outcome import ProcessExit
from xfworker.services.script.session import Session
from xfworker.services.worker.job_executor import PreparedScript


@define(eq=False)
class Source:
    """Makes scripts ready, now and then slowly."""

    world: object
    host: object

    def prepare(self, lease, report):
        if self.world.luck.strikes(f"{self.host.name}/slow install", self.world.chances["slow install"]):
            for _ in range(10):
                self.host.timeline.sleep(20.0)
                report(b"installing\n")
        return PreparedScript(command=("script",), environment={})


@define(eq=False)
class Running:
    """A script's process."""

    host: Host
    ended: object
    exit: ProcessExit | None = None

    def wait(self, timeout_seconds=None):
        if self.exit is None:
            self.ended.wait(timeout_seconds)
        return self.exit

    def end(self, result):
        if self.exit is None:
            self.exit = result
            self.ended.set()

    def abort(self):
        if self.exit is None:
            self.host.kill()
            self.end(ProcessExit(signal="SIGTERM", aborted=True))

    def pass_signal(self, number):
        pass


@define(eq=False)
class Runner:
    """
    Starts scripts on a worker's machine.

    Attributes:
        path_map: Where this machine has shares of others.
        running: The scripts' processes.
    """

    world: object
    machine: Host
    filesystem: object
    path_map: dict = field(factory=dict)
    running: list = field(factory=list)

    def start(self, call, on_output=None):
        self.machine.require_alive()
        arguments = read_job_arguments(call.environment)
        # One that was lost with the records of a restored backup is not there.
        job = self.world.ledger.jobs.get(arguments.job_serial)
        if job and self.world.is_task("d", job.task_serial) and self.machine.version is Version.OLDER:
            raise AssertionError(f"{job} needs cores, and went to a worker of a version that offers none")
        name = f"{self.machine.name}/script of job {arguments.job_serial}"
        host = Host(self.world.timeline, name, self.machine, interpreter=Interpreter())
        running = Running(host, self.world.threads.Event())
        wire = Wire(self.world, host)
        session = Session(
            server=self.world.clients(wire, arguments.server_auth).server,
            files=RemoteFiles(wire),
            filesystem=LocalFilesystem(call.log_path.parent, self.path_map),
            images=self.world.image_formats,
            clock=host.clock(),
            arguments=arguments,
        )

        def work():
            result = ProcessExit(signal="SIGKILL")
            try:
                script = Script(self.world, session)
                result = ProcessExit(exit_code=exit_code_of(self.world.python, script.run))
            finally:
                # One that comes back after weeks finds its directory gone.
                if host.interpreter.log and call.log_path.parent.exists():
                    call.log_path.write_text("".join(host.interpreter.log))
                running.end(result)
                self.running.remove(running)
                # What threads it has left end with it.
                host.kill()

        self.running.append(running)
        self.world.timeline.spawn(host, work, host.name)
        return running

    def switched_off(self):
        """End the scripts of a machine without power."""
        for running in list(self.running):
            running.host.kill()

    def machine_died(self):
        """End the scripts of a worker that died; now and then they go on without it."""
        for running in list(self.running):
            if not self.world.luck.strikes(f"{running.host.name}/goes on alone", self.world.chances["orphan"]):
                running.host.kill()
