"""Scripts as processes of the simulation: started by a worker, working by the services that real scripts use."""

import hashlib
from pathlib import Path

from attrs import define, field

from tests.simulation.network import RemoteFiles, Wire
from tests.simulation.spawning import spawn_job
from tests.simulation.timeline import Host
from tests.simulation.versions import NEW_KEYS, Version
from xfworker.domain.change import Change
from xfworker.domain.errors import RecordConflict, XFWorkerError
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_arguments import read_job_arguments
from xfworker.domain.job_outcome import ProcessExit
from xfworker.domain.records import Job, Workflow
from xfworker.domain.script_exit import ScriptExit
from xfworker.services.script.lifecycle import finish_job, hand_over, save_error_message
from xfworker.services.script.outputs import output_resource
from xfworker.services.script.session import Session
from xfworker.services.worker.job_executor import PreparedScript

RESULT = "result.bin"


def content_of(job_serial, attempt, value):
    """Give what an attempt writes: it says whose it is, and whether it is complete."""
    head = f"{job_serial} {attempt} {value}"
    return f"{head} {hashlib.sha256(head.encode()).hexdigest()}".encode()


def read_content(content):
    """Give job, attempt and value of what an attempt wrote; a part of it is an error."""
    *head, digest = content.decode().split(" ")
    assert hashlib.sha256(" ".join(head).encode()).hexdigest() == digest, f"half a file: {content!r}"
    return tuple(int(word) for word in head)


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
    """Starts scripts on a worker's machine."""

    world: object
    machine: Host
    filesystem: object
    running: list = field(factory=list)

    def start(self, call, on_output=None):
        self.machine.require_alive()
        arguments = read_job_arguments(call.environment)
        job = self.world.ledger.jobs[arguments.job_serial]
        if job.task_serial == self.world.tasks["d"] and self.machine.version is Version.OLDER:
            raise AssertionError(f"{job} needs cores, and went to a worker of a version that offers none")
        host = Host(self.world.timeline, f"{self.machine.name}/script of job {arguments.job_serial}", self.machine)
        running = Running(host, self.world.threads.Event())
        wire = Wire(self.world, host)
        session = Session(
            server=self.world.clients(wire, arguments.server_auth).server,
            files=RemoteFiles(wire),
            filesystem=self.filesystem,
            images=None,
            clock=host.clock(),
            arguments=arguments,
        )

        def work():
            result = ProcessExit(signal="SIGKILL")
            try:
                result = ProcessExit(exit_code=run_script(self.world, session, call.working_directory))
            except XFWorkerError as error:
                call.log_path.write_text(f"{type(error).__name__}: {error}\n")
                result = ProcessExit(exit_code=1)
            finally:
                running.end(result)
                self.running.remove(running)

        self.running.append(running)
        self.world.timeline.spawn(host, work, host.name)
        return running

    def machine_died(self):
        """End the scripts of a worker that died; now and then they go on without it."""
        for running in list(self.running):
            if not self.world.luck.strikes(f"{running.host.name}/goes on alone", self.world.chances["orphan"]):
                running.host.kill()


def run_script(world, session, directory):
    """
    Do what a task's script does, and give its exit code.

    It reads the files of its inputs, reports progress, counts itself on a record that all scripts share, stores a file,
    and finishes with a value that follows from its inputs. A short one takes the values of its inputs as they are, and
    has no file and no progress.
    """
    luck, host = world.luck, session.clock.host
    job = session.server.get(Job, session.arguments.job_serial)
    is_whole = world.runs_whole_script(job.serial)
    value = computed_value(world, session, job, directory, reads_files=is_whole)
    for percentage in (30, 60) if is_whole else (60,):
        session.clock.sleep(luck.between(f"{host.name}/work", 0.1, world.conditions.work_seconds))
        if luck.strikes(f"{host.name}/crash", world.chances["script crash"]):
            return 1
        if is_whole:
            session.server.update(Job, job.serial, Change(values={"/metadata/progress_percentage": percentage}))
    if luck.strikes(f"{host.name}/error", world.chances["script crash"]):
        save_error_message(session, "the image is empty")
        return ScriptExit.ERROR_REPORTED
    outputs = outputs_of(job, value)
    if is_whole:
        count_self(world, session, job.workflow_serial)
        if job.task_serial == world.tasks["d"] and luck.switched_on("spawning"):
            spawn_job(world, session, job)
        outputs["out"] |= store_result(session, job, value, directory)
    if job.run_serial is not None and luck.strikes(f"{host.name}/hands over", world.chances["script hands over"]):
        hand_over(session, job, Change(values={}), error_message=None)
        return ScriptExit.HANDED_OVER
    finish_job(session, Change(values={}), outputs, expected_version=job.occ_lock_version)
    if luck.strikes(f"{host.name}/lingers", world.chances["script lingers"]):
        session.clock.sleep(luck.between(f"{host.name}/how long", 1.0, 400.0))
    return 1 if luck.strikes(f"{host.name}/crash at exit", world.chances["script crash"]) else 0


def outputs_of(job, value):
    """Give a job's outputs: its value, and what becomes the template of later jobs where it is the first."""
    out = {"type": "ForeignFile", "job_serial": job.serial, "attempt": job.attempt, "value": value}
    return {"out": out, **({"template": f"of job {job.serial}"} if "template" in job.inputs else {})}


def computed_value(world, session, job, directory, *, reads_files):
    """Give the value that follows from a job's inputs."""
    value = 1
    for key in sorted(job.inputs):
        given = job.inputs[key]
        if isinstance(given, dict) and given.get("type") == "Sequence":
            values = [read["value"] for read in values_of(world, session, given)]
            value += sum(values)
            continue
        if isinstance(given, dict) and "job_serial" in given:
            reads = reads_files and "filename" in given
            value += read_input(session, given, directory) if reads else given["value"]
    return value


def store_result(session, job, value, directory):
    """Store the file of a result, and give the part of the output that names it."""
    path = Path(directory) / RESULT
    path.write_bytes(content_of(job.serial, job.attempt, value))
    resource = output_resource(session, RESULT)
    token = session.server.file_token([Scope("write", resource)])
    session.transfers.store(token, path, resource, working_directory=Path(directory))
    return {"source": "job_result", "filename": RESULT}


def read_input(session, given, directory):
    """Read the value out of an input's file, which is complete or not there at all."""
    resource = record_resource("job_result", given["job_serial"], given["filename"])
    token = session.server.file_token([Scope("read", resource)])
    path = session.transfers.fetch(token, resource, Path(directory))
    _, _, value = read_content(path.read_bytes())
    return value


def values_of(world, session, given):
    """Give the values of a sequence."""
    from xfworker.domain.queries import Sequence

    sequence = Sequence(task_serial=given["task_serial"], key=given["key"])
    return [value.value for value in session.server.output_values(sequence)]


def count_self(world, session, workflow_serial):
    """Add one to a number that others add to at the same time."""
    for _ in range(60):
        workflow = session.server.get(Workflow, workflow_serial)
        assert workflow.extra.items() >= NEW_KEYS.items(), f"{workflow} lost what a newer client said of it"
        count = workflow.metadata.get("count", 0)
        world.counting += 1
        change = Change(values={"/metadata/count": count + 1}, expected_version=workflow.occ_lock_version, bump=True)
        try:
            session.server.update(Workflow, workflow_serial, change)
        except RecordConflict:
            world.counting -= 1
            session.clock.sleep(world.luck.between(f"{session.clock.host.name}/count", 0.01, 1.0))
            continue
        world.counted += 1
        return
