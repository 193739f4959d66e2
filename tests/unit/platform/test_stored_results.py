"""No job is done, on any way, whose outputs name results that nobody uploaded."""

from contextlib import contextmanager

import pytest

from tests.unit.platform.small_workflow import ENDED
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.domain.change import Change
from xfworker.domain.errors import InvalidParameter, ServerBusy
from xfworker.domain.files import record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Task, TaskType, TaskTypeKind, Worker, Workflow, WorkflowState
from xfworker.services.platform.platform import Platform


class Records(MemoryRecordStore):
    """Records that know whether others are kept waiting."""

    is_locked = False

    @contextmanager
    def transaction(self, *, write=True, **options):
        with super().transaction(write=write, **options) as transaction:
            self.is_locked = write
            try:
                yield transaction
            finally:
                self.is_locked = False


class Files(MemoryFileStore):
    """Files that may not answer for long, so nobody may be kept waiting while they are asked."""

    def __init__(self, records):
        super().__init__()
        self.records = records
        self.meanwhile = lambda: None

    def list(self, token, folder):
        assert not self.records.is_locked
        found = super().list(token, folder)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return found


class Lab:
    """A platform with files, and a job that a script works on."""

    def __init__(self):
        clock = ManualClock()
        records = Records()
        self.files = Files(records)
        self.platform = Platform(records, clock, MemoryTokenSigner(clock), files=self.files)
        self.admin = self.platform.authenticate(self.platform.admin_token())
        self.server = self.platform.server_for(self.admin)
        self.queue = self.platform.queue_for(self.admin)
        self.task, self.workflow = self.new_task("bones")
        self.job = self.server.create(Job(task_serial=self.task, state=JobState.READY))
        self.by_hand = self.server.create(Job(task_serial=self.task, state=JobState.READY_FOR_INTERACTIVE)).serial

    def new_task(self, project, kind=TaskTypeKind.PROCESSING):
        serial = self.server.create(Project(name=project)).serial
        workflow = self.server.create(Workflow(project_serial=serial, name=project, state=WorkflowState.ACTIVE)).serial
        task_type = self.server.create(TaskType(name=f"T.{project}", kind=kind))
        task = self.server.create(Task(workflow_serial=workflow, task_type_serial=task_type.serial, name="look"))
        return task.serial, workflow

    def lease(self):
        return self.queue.claim(self.queue.register(Worker(name="bench")).serial)

    def script(self, lease):
        return self.platform.server_for(self.platform.authenticate(lease.server_auth))

    def store(self, job_serial, name):
        self.files.put(record_resource("job_result", job_serial, name), b"a,b")


@pytest.fixture
def lab():
    return Lab()


def table(job_serial, name="a.csv", **more):
    return {"type": "CSV", "source": "job_result", "job_serial": job_serial, "filename": name, **more}


def done(outputs):
    return Change(values={"/outputs": outputs, "/state": "Done"})


def test_a_script_cannot_end_its_job_with_a_file_that_was_not_uploaded(lab):
    lease = lab.lease()
    with pytest.raises(InvalidParameter, match=r"outputs\.table: job_result/1/a\.csv was not uploaded to this server"):
        lab.script(lease).update(Job, lab.job.serial, done({"table": table(lab.job.serial)}))
    lab.store(lab.job.serial, "a.csv")
    ended = lab.script(lease).update(Job, lab.job.serial, done({"table": table(lab.job.serial)}))
    assert ended.state is JobState.DONE
    assert lab.queue.end(lease, ENDED).state is JobState.DONE


@pytest.mark.parametrize(
    "value",
    [
        lambda serial: [table(serial)],
        lambda serial: table(serial, "there.csv", filenames=["there.csv", "a.csv"]),
        lambda serial: {"type": "Own", "parts": {"left": table(serial)}},
        lambda serial: table(serial, "there.csv", additional_files=[table(serial)]),
    ],
    ids=["in a list", "beside another", "in a composite", "additional"],
)
def test_a_file_is_looked_for_wherever_outputs_name_it(lab, value):
    lab.store(lab.by_hand, "there.csv")
    with pytest.raises(InvalidParameter, match=r"a\.csv was not uploaded to this server"):
        lab.server.update(Job, lab.by_hand, done({"table": value(lab.by_hand)}))


def test_a_person_cannot_finish_a_job_with_a_file_that_was_not_uploaded_whatever_else_is_let_pass(lab):
    change = Change(values={"/outputs/table": table(lab.by_hand), "/state": "Done"})
    with pytest.raises(InvalidParameter, match="was not uploaded to this server"):
        lab.server.update(Job, lab.by_hand, change)
    assert lab.server.get(Job, lab.by_hand).state is JobState.READY_FOR_INTERACTIVE


def test_the_outputs_of_a_job_that_is_done_are_corrected_under_the_same_rule(lab):
    lab.server.update(Job, lab.by_hand, done({}))
    with pytest.raises(InvalidParameter, match="was not uploaded to this server"):
        lab.server.update(Job, lab.by_hand, Change(values={"/outputs": {"table": table(lab.by_hand)}}))
    lab.server.update(Job, lab.by_hand, Change(values={"/name": "no outputs in this change"}))


def test_a_script_cannot_spawn_a_done_job_that_names_a_file_which_was_not_uploaded(lab):
    script = lab.script(lab.lease())
    spawned = Job(task_serial=lab.task, state=JobState.DONE, outputs={"table": table(lab.job.serial)}, spawn_key="a")
    with pytest.raises(InvalidParameter, match="was not uploaded to this server"):
        script.create(spawned)
    lab.store(lab.job.serial, "a.csv")
    assert script.create(spawned).state is JobState.DONE


def test_a_run_cannot_start_with_outputs_that_name_a_file_which_was_not_uploaded(lab):
    _, workflow = lab.new_task("sources", TaskTypeKind.SOURCE)
    control = lab.platform.control_for(lab.admin)
    with pytest.raises(InvalidParameter, match="was not uploaded to this server"):
        control.start_run(workflow, outputs={"table": table(lab.job.serial)})
    lab.store(lab.job.serial, "a.csv")
    assert control.start_run(workflow, outputs={"table": table(lab.job.serial)}).serial


def test_nobody_learns_by_it_which_files_another_project_has(lab):
    other, _ = lab.new_task("hidden")
    hidden = lab.server.create(Job(task_serial=other, state=JobState.DONE))
    lab.store(hidden.serial, "a.csv")
    with pytest.raises(InvalidParameter, match="was not uploaded to this server"):
        lab.script(lab.lease()).update(Job, lab.job.serial, done({"table": table(hidden.serial)}))


def test_what_lies_in_user_data_is_not_asked_for(lab):
    userdata = {"type": "ForeignFile", "source": "userdata", "virtualpath": "scans/a.isq", "filename": "a.isq"}
    assert lab.server.update(Job, lab.by_hand, done({"scan": userdata})).state is JobState.DONE


def test_a_malformed_reference_is_an_error_with_its_path_and_not_a_crash(lab):
    with pytest.raises(InvalidParameter, match="outputs: "):
        lab.server.update(Job, lab.by_hand, done({"table": table("one")}))


def test_outputs_that_name_other_files_since_they_were_looked_up_are_refused_for_a_moment(lab):
    lab.store(lab.by_hand, "a.csv")

    other = Change(values={"/outputs/other": table(lab.job.serial)})
    lab.files.meanwhile = lambda: lab.server.update(Job, lab.by_hand, other)
    change = Change(values={"/outputs/table": table(lab.by_hand), "/state": "Done"})
    with pytest.raises(ServerBusy, match="changed in this moment; try again"):
        lab.server.update(Job, lab.by_hand, change)
    assert lab.server.get(Job, lab.by_hand).state is JobState.READY_FOR_INTERACTIVE
