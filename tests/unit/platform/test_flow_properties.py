"""Whatever happens to a workflow: no job waits for ever, nothing stays that was made from something older."""

from functools import partial
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.change import Change
from xfworker.domain.errors import IllegalTransition, InvalidRecord
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.queries import Sequence
from xfworker.domain.records import Job, Project, Run, Task, TaskType, Worker, Workflow
from xfworker.ports.job_queue import Lease
from xfworker.testing.contracts.worlds import DirectWorld

ENDED = Outcome(ending=Ending.FINISHED, exit_code=0)
CRASHED = Outcome(ending=Ending.CRASHED, message="crash")
OUTPUT = "o"


class Model:
    """A workflow of tasks of which each may use the earlier ones' outputs, and scripts that note what they saw."""

    def __init__(self, edges: dict[tuple[int, int], str]) -> None:
        self.world = DirectWorld.over(MemoryRecordStore())
        self.server, self.queue = self.world.admin, self.world.queue
        platform = self.world.platform
        self.control = platform.control_for(platform.authenticate(platform.admin_token()))
        project = self.server.create(Project(name="p"))
        self.workflow = self.server.create(Workflow(project_serial=project.serial, name="w")).serial
        self.worker = self.queue.register(Worker(name="bench")).serial
        self.tasks: list[int] = []
        self.held: list[tuple[Lease, dict[str, Any]]] = []
        self.made = 0
        for index in range(1 + max((user for user, _ in edges), default=0)):
            self._add(index, {used: kind for (user, used), kind in edges.items() if user == index})
        self.server.update(Workflow, self.workflow, Change(values={"/state": "Active"}))

    def _add(self, index: int, used: dict[int, str]) -> None:
        types = {"single": "Int", "sequence": "Sequence"}
        declared = [{"key": f"i{other}", "type": types[kind]} for other, kind in used.items()]
        task_type = self.server.create(TaskType(name=f"T{index}", interface={"inputs": declared}))
        inputs = [
            {"key": f"i{other}", "mode": "output", "task_serial": self.tasks[other], "output_key": OUTPUT}
            for other in used
        ]
        task = Task(workflow_serial=self.workflow, task_type_serial=task_type.serial, inputs=inputs)
        try:
            self.tasks.append(self.server.create(task).serial)
        except InvalidRecord:  # one job for all runs, used as a value of a single run
            self.tasks.append(self.server.create(Task(workflow_serial=self.workflow, task_type_serial=1)).serial)

    def jobs(self) -> list[Job]:
        return self.server.find(Job)

    def runs(self) -> list[Run]:
        return self.server.find(Run)

    def live(self, job: Job) -> bool:
        return job.run_serial is None or not self.server.get(Run, job.run_serial).obsolete

    def work(self, how: str = "done") -> bool:
        lease = self.queue.claim(self.worker)
        if lease is None:
            return False
        self.end(lease, self.seen(lease), how)
        return True

    def seen(self, lease: Lease) -> dict[str, Any]:
        return {key: self.value(item) for key, item in lease.job.inputs.items()}

    def end(self, lease: Lease, seen: dict[str, Any], how: str = "done") -> None:
        if how == "fails":
            self.queue.end(lease, CRASHED)
            return
        self.made += 1
        outputs: dict[str, Any] = {} if how == "makes nothing" else {OUTPUT: self.made}
        outputs["saw"] = seen
        script = self.world.as_bearer(lease.server_auth)
        script.update(Job, lease.job.serial, Change(values={"/outputs": outputs, "/state": "Done"}))
        self.queue.end(lease, ENDED)

    def hold(self) -> None:
        """Let a script begin, and others go on meanwhile."""
        lease = self.queue.claim(self.worker)
        if lease is not None:
            self.held.append((lease, self.seen(lease)))

    def end_held(self) -> None:
        if self.held:
            self.end(*self.held.pop(0))

    def stop_for_a_while(self) -> None:
        """Let a script end while its workflow is obsolete, of which something is changed before it is taken back."""
        self.hold()
        for fields in ({"obsolete": True}, {"metadata": {"note": "see you"}}, {"obsolete": False}):
            self.world.clock.advance(1)
            change = Change(values={f"/{name}": value for name, value in fields.items()})
            self.server.update(Workflow, self.workflow, change)
            self.end_held()

    def value(self, item: Any) -> Any:
        if not isinstance(item, dict):
            return item
        return [
            found.value
            for found in self.server.output_values(Sequence(task_serial=item["task_serial"], key=item["key"]))
        ]

    def restart(self, job: Job) -> None:
        try:
            self.control.restart_job(job.serial)
        except IllegalTransition:
            before = self.server.get(Job, job.serial)
            assert (before.state, before.outputs) == (job.state, job.outputs)

    def turn(self, run: Run) -> None:
        self.server.update(Run, run.serial, Change(values={"/obsolete": not run.obsolete}))

    def drain(self) -> None:
        while self.held:
            self.end_held()
        for _ in range(300):
            if not self.work():
                return
        raise AssertionError([(job.serial, job.task_serial, job.run_serial, job.state) for job in self.jobs()])

    def upstream_jobs(self, job: Job) -> list[Job | None]:
        found: list[Job | None] = []
        for item in self.server.get(Task, job.task_serial).inputs:
            if not isinstance(job.inputs.get(item["key"]), dict):
                where = {"task_serial": item["task_serial"]}
                others = [other for other in self.server.find(Job, where) if other.run_serial == job.run_serial]
                found += others or [None]
        return found

    def not_made(self) -> list[tuple[int, int]]:
        """List the runs and tasks without a job whose inputs are all there."""
        jobs = {(job.run_serial, job.task_serial): job for job in self.jobs()}
        not_made = []
        for task in map(partial(self.server.get, Task), self.tasks):
            types = {
                item["key"]: item["type"]
                for item in self.server.get(TaskType, task.task_type_serial).interface["inputs"]
            }
            single = [item["task_serial"] for item in task.inputs if types[item["key"]] != "Sequence"]
            for run in self.runs():
                above = [jobs.get((run.serial, serial)) for serial in single]
                made = [job for job in above if job is not None and OUTPUT in job.outputs]
                if single and not run.obsolete and len(made) == len(single) and (run.serial, task.serial) not in jobs:
                    not_made.append((run.serial, task.serial))
        return not_made

    def sequences(self, job: Job) -> list[list[Any]]:
        return [self.value(item) for item in job.inputs.values() if isinstance(item, dict)]


# The same examples each time, and no shrinking, which can take minutes: an example is short as it is.
quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
kinds = st.sampled_from(["single", "sequence"])
edges = st.dictionaries(
    st.tuples(st.integers(1, 4), st.integers(0, 3)).filter(lambda pair: pair[1] < pair[0]),
    kinds,
    min_size=1,
    max_size=6,
)
ENDS = ["done", "done", "done", "fails", "makes nothing"]
ACTIONS = ["run", "restart", "restart", "turn", "hold", "hold", "end", "stop", "stop", *ENDS]
actions = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 50)), min_size=3, max_size=25)


def play(model: Model, script: list[tuple[str, int]]) -> None:
    simple = {"hold": model.hold, "end": model.end_held, "stop": model.stop_for_a_while}
    for action, number in script:
        ended = [job for job in model.jobs() if job.state.is_final]
        if action == "run":
            if len(model.runs()) < 3:
                model.control.start_run(model.workflow)
        elif action == "restart":
            if ended:
                model.restart(ended[number % len(ended)])
        elif action == "turn":
            if model.runs():
                model.turn(model.runs()[number % len(model.runs())])
        elif action in simple:
            simple[action]()
        else:
            model.work(action)


SCAN_CHART_FLAG = {(1, 0): "sequence", (2, 0): "single", (2, 1): "sequence"}
NEW_CHART_MEANWHILE = [(action, 0) for action in ("done", "done", "hold", "run", "done", "done")]


@quick
@example(SCAN_CHART_FLAG, NEW_CHART_MEANWHILE)
@given(edges, actions)
def test_what_waits_waits_for_something_that_failed_and_what_is_done_is_up_to_date(edges, actions):
    model = Model(edges)
    play(model, [("run", 0), *actions])
    model.drain()
    assert model.not_made() == []
    for_all_runs = {job.task_serial for job in model.jobs() if job.run_serial is None}
    for job in filter(model.live, model.jobs()):
        assert job.state in {JobState.DONE, JobState.FAILED, JobState.WAITING}, (job.serial, job.state)
        above = model.upstream_jobs(job)
        if job.state is JobState.WAITING:
            broken = [up for up in above if up is None or up.state is not JobState.DONE]
            assert broken or not all(model.sequences(job)), (job.serial, job.task_serial)
        if job.state is JobState.DONE:
            for key, item in job.inputs.items():
                if isinstance(item, dict) and job.run_serial is None:
                    # What a run that became obsolete had brought may still be in it; nothing is missing.
                    assert set(model.value(item)) <= set(job.outputs["saw"][key]), (job.serial, key)
                elif isinstance(item, dict) and item["task_serial"] in for_all_runs:
                    # It is made again with what it worked with.
                    assert set(job.outputs["saw"][key]) <= set(model.value(item)), (job.serial, key)
            assert all(up is not None and up.state is JobState.DONE for up in above)
            assert {up.outputs.get(OUTPUT) for up in above if up} == {
                value for value in job.inputs.values() if not isinstance(value, dict)
            }


@quick
@given(edges, actions)
def test_once_all_that_failed_was_restarted_everything_is_done(edges, actions):
    model = Model(edges)
    play(model, [("run", 0), *actions])
    for run in model.runs():
        if run.obsolete:
            model.turn(run)
    for _ in range(8):
        model.drain()
        for job in model.jobs():
            if job.state is JobState.FAILED or (job.state is JobState.DONE and OUTPUT not in job.outputs):
                fresh = model.server.get(Job, job.serial)
                if fresh.state.is_final:
                    model.restart(fresh)
    model.drain()
    assert {job.state for job in model.jobs()} <= {JobState.DONE}
    assert model.not_made() == []


@quick
@given(edges, actions, st.integers(0, 50))
def test_a_restart_that_goes_well_brings_back_every_result(edges, actions, which):
    model = Model(edges)
    play(model, [("run", 0), *actions])
    model.drain()
    done = {job.serial for job in model.jobs() if job.state is JobState.DONE}
    ended = [job for job in model.jobs() if job.state.is_final]
    if ended:
        model.restart(ended[which % len(ended)])
        model.drain()
    assert done <= {job.serial for job in model.jobs() if job.state is JobState.DONE}
