"""What people do: they make a workflow, start runs, abort and restart jobs, and do by hand what waits for them."""

from contextlib import suppress

from attrs import define, field

from tests.simulation.network import Wire
from tests.simulation.spawning import PACKAGE
from tests.simulation.task_script import outputs_of
from tests.simulation.timeline import Host
from tests.simulation.versions import NEW_KEYS
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.change import Change
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import XFWorkerError
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Task, TaskType, TaskTypeKind, Workflow, WorkflowState

_REGISTERED_SECONDS = 70.0


@define(eq=False)
class People:
    """Somebody at a computer that is never lost, with everybody's rights."""

    world: object
    host: Host = field(init=False)
    bearer: str = ""
    _server: object = None
    _control: object = None

    @host.default
    def _own_host(self):
        return Host(self.world.timeline, "person")

    def set_up(self, platform):
        """Make the project and its workflow, with a client that is newer than the servers, and give its serial."""
        self.bearer = platform.admin_token()
        server = platform.server_for(platform.authenticate(self.bearer))
        project = server.create(Project(name="bones"))
        server.create(TaskType(name=PACKAGE, extra=NEW_KEYS))
        return self.make_workflow(server, project.serial)

    def make_workflow(self, server, project_serial):
        """Make a workflow, with task types of its own, and give its serial."""
        workflow = server.create(Workflow(project_serial=project_serial, name="mice", extra=NEW_KEYS)).serial
        tasks = self.world.workflows[workflow] = {}

        def task(name, *used, kind=TaskTypeKind.PROCESSING, sequence=False, cores=None, own=()):
            declared = [
                {"key": f"i{index}", "type": "Sequence" if sequence else "ForeignFile"} for index in range(len(used))
            ]
            task_type = server.create(
                TaskType(
                    name=f"T.{name}",
                    kind=kind,
                    interface={"inputs": [*declared, *({"key": item["key"], "type": "String"} for item in own)]},
                    metadata=_needing(f"T.{name}", cores),
                    extra=NEW_KEYS,
                )
            )
            inputs = [
                {"key": f"i{index}", "mode": "output", "task_serial": tasks[other], "output_key": "out"}
                for index, other in enumerate(used)
            ]
            record = Task(
                workflow_serial=workflow,
                task_type_serial=task_type.serial,
                name=name,
                inputs=[*inputs, *own],
                extra=NEW_KEYS,
            )
            tasks[name] = server.create(record).serial

        luck = self.world.luck
        by_hand, asked = luck.switched_on("by hand", 0.25), luck.switched_on("asked", 0.25)
        template = luck.switched_on("templates")
        task("start", kind=TaskTypeKind.SOURCE)
        task("a", "start")
        task(
            "b",
            "a",
            kind=TaskTypeKind.INTERACTIVE if by_hand else TaskTypeKind.PROCESSING,
            own=[{"key": "asked", "mode": "ui"}] if asked else [],
        )
        task("c", "a", own=[{"key": "template", "mode": "define_on_first", "template": None}] if template else [])
        task("d", "b", "c", cores=2)
        task("g", "d", sequence=True)
        task("h", "g")
        server.update(Workflow, workflow, Change(values={"/state": WorkflowState.ACTIVE.value}))
        return workflow

    def begin(self, workflow):
        """Begin to work; what is given has ended when all has come to rest."""
        world = self.world
        clients = world.clients(Wire(world, self.host), self.bearer)
        self._server, self._control = clients.server, clients.control
        world.timeline.spawn(self.host, self._work_by_hand, "person by hand")
        return world.timeline.spawn(self.host, lambda: self._live(workflow), "person")

    def _live(self, workflow):
        """Start runs, abort and restart jobs, and at the end restart what failed."""
        world, clock = self.world, self.host.clock()
        for _ in range(world.runs):
            clock.sleep(world.luck.between("next run", 1.0, world.conditions.run_seconds))
            try:
                world.acknowledged_runs.add(self._control.start_run(workflow).serial)
                self._meddle()
            except XFWorkerError:
                continue
        clock.sleep(300.0)
        world.calm()
        while True:
            clock.sleep(20.0)
            jobs = world.records.all_of(Job)
            bad = [job for job in jobs if job.state in (JobState.FAILED, JobState.ABORTED)]
            for job in bad:
                self._restart(job.serial)
            if not bad and all(job.state is JobState.DONE for job in jobs) and not world.records.all_of(JobLease):
                break
        if world.conditions.messages:
            clock.sleep(max(world.all_awake_at - world.timeline.now, 0.0) + _REGISTERED_SECONDS)

    def _meddle(self):
        luck, chances = self.world.luck, self.world.chances
        job = luck.choice("which job", self._server.find(Job))
        if luck.strikes("person aborts", chances["person aborts"]):
            self._control.abort_job(job.serial)
        if luck.strikes("person restarts", chances["person restarts"]):
            self._restart(job.serial)

    def _restart(self, serial):
        with suppress(XFWorkerError):
            self._control.restart_job(serial)

    def _work_by_hand(self):
        """Answer what jobs ask, and do those that wait for a person; others may have done it meanwhile."""
        clock = self.host.clock()
        while True:
            clock.sleep(self.world.luck.between("by hand", 10.0, 60.0))
            self._do_what_waits()

    def _do_what_waits(self):
        if not self.world.records.matching(Job, state=JobState.READY_FOR_INTERACTIVE):
            return
        with suppress(XFWorkerError):
            for job in self._server.find(Job, {"state": JobState.READY_FOR_INTERACTIVE}):
                self._do(job)

    def _do(self, job):
        with suppress(XFWorkerError):
            if "asked" in job.inputs and job.inputs["asked"] is None:
                change = {"/inputs/asked": f"an answer to job {job.serial}", "/state": JobState.WAITING.value}
            else:
                change = {"/outputs": done_by_hand(job), "/state": JobState.DONE.value}
            self._server.update(Job, job.serial, Change(values=change, expected_version=job.occ_lock_version))


def done_by_hand(job):
    """Give the outputs that follow from a job's inputs."""
    given = [value for value in job.inputs.values() if isinstance(value, dict) and "job_serial" in value]
    return outputs_of(to_json(job), 1 + sum(item["value"] for item in given))


def _needing(name, cores):
    """Give the metadata of a task type whose jobs need so many cores."""
    if cores is None:
        return {}
    described = {"package_format": "XFP-TT1.0", "name": name, "version": "1.0.0.0", "resources": {"cores": cores}}
    return {"package": {"archive": "a.xfp", "sha256": "0" * 64, "complete": True, "metadata": described}}
