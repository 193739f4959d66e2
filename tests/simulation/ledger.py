"""What must hold after every committed transaction, and when everything has come to rest."""

from collections import Counter

from attrs import define, field

from tests.simulation.spawning import spawned_jobs
from tests.simulation.task_script import unit_of
from tests.simulation.versions import NEW_KEYS, Version
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.conversion import format_time
from xfworker.domain.job_metadata import lost_attempts
from xfworker.domain.job_state import JobState, allowed_next
from xfworker.domain.records import INSTANCE, ActivityEvent, Job, Run, Task, TaskType, Worker, Workflow


class ViolationError(AssertionError):
    """Something happened that must never happen."""


def require(holds, what):
    if not holds:
        raise ViolationError(what)


@define(eq=False)
class Ledger:
    """
    Keeps what was committed, and compares.

    Attributes:
        jobs: Every job as it was committed last.
        claims: How often each job was handed out.
        claimed_at: When each of them was handed out last.
        moved: Which jobs a person's request to restart or abort one has moved.
        ended: How many attempts have ended.
        ended_whole: Those among them whose scripts did all that scripts do.
    """

    world: object
    jobs: dict[int, Job] = field(factory=dict)
    claims: dict[int, int] = field(factory=dict)
    claimed_at: dict[int, float] = field(factory=dict)
    moved: set[object] = field(factory=set)
    ended: int = 0
    ended_whole: int = 0

    def committed(self, records):
        """Compare what a transaction wrote with what was there before; what was deleted is ``None``."""
        for record in records:
            if isinstance(record, Job):
                self._job(self.jobs.get(record.serial), record)
                self.jobs[record.serial] = record

    def _job(self, before, job):
        # Nearly always all is well, and then no message is made.
        leases = self.world.records.matching(JobLease, job_serial=job.serial)
        if len(leases) > 1:
            raise ViolationError(f"{job} has {len(leases)} leases")
        if job.state is JobState.RUNNING:
            held = [(lease.attempt, lease.worker_serial) for lease in leases]
            if held != [(job.attempt, job.worker_serial)]:
                raise ViolationError(f"{job} runs in attempt {job.attempt} without the lease on it: {leases}")
        if before is None:
            require(job.attempt == 0, f"new {job} has attempt {job.attempt}")
            return
        if before.state is not job.state:
            self._transition(before, job)
        elif job.attempt != before.attempt:
            raise ViolationError(f"{job} changed its attempt and is {job.state} as before")
        elif job.state is JobState.DONE and job.outputs != before.outputs:
            raise ViolationError(f"the outputs of {job} changed after it was done")
        was, now = before.occ_lock_version, job.occ_lock_version
        if now < was or (now == was and job.state is not before.state):
            raise ViolationError(f"{job} went from version {was} to {now}")

    def _transition(self, before, job):
        restarts = before.state.is_final or job.state is JobState.WAITING
        # A person's answer lets a job wait for what else it needs, which may be nothing.
        waited_for_answer = before.state is JobState.READY_FOR_INTERACTIVE and job.state is JobState.READY
        answered = waited_for_answer and job.inputs.get("asked") is not None
        if not restarts and not answered and job.state not in allowed_next(before.state):
            raise ViolationError(f"{job} went from {before.state} to {job.state}")
        if before.state is JobState.DONE:
            # What waits is made again behind what it uses; a job for all runs is made again for each new value.
            made_again = job.state is JobState.WAITING or job.run_serial is None
            if self.world.mover is None and not made_again:
                raise ViolationError(f"{job} was done and is {job.state}, and nobody restarted anything")
        self._require_moved_once(job)
        handed_out = job.state is JobState.RUNNING
        if job.attempt != before.attempt + handed_out:
            raise ViolationError(f"{job} went from attempt {before.attempt} to {job.attempt}")
        if handed_out:
            self.claims[job.serial] = self.claims.get(job.serial, 0) + 1
            self.claimed_at[job.serial] = self.world.timeline.now
        if before.state is JobState.RUNNING:
            self.ended += 1
            self.ended_whole += self.world.runs_whole_script(job.serial)
        self._require_cause_of_loss(before, job)
        if job.state is JobState.DONE:
            self._require_own_result(job)

    def _require_moved_once(self, job):
        """A person's request to restart or abort a job, however often it comes, moves each job once."""
        mover = self.world.mover
        if mover is None:
            return
        if (mover, job.serial) in self.moved:
            raise ViolationError(f"one request to {mover[0]} a job moved {job} twice, now to {job.state}")
        self.moved.add((mover, job.serial))

    def _require_cause_of_loss(self, before, job):
        """A worker loses no attempt unless something befell it, a server, or what lies between them."""
        lost = lost_attempts(job.metadata)
        if len(lost) >= self.world.options.max_attempts:
            raise ViolationError(f"{job} goes on after {len(lost)} lost attempts")
        if len(lost) <= len(lost_attempts(before.metadata)):
            return
        if self.world.luck.disturbed_until < self.claimed_at[job.serial]:
            raise ViolationError(f"{job} lost attempt {job.attempt} although nothing went wrong: {lost[-1]}")

    def _require_own_result(self, job):
        out = job.outputs["out"]
        stored = self.world.stored(job) if "filename" in out else None
        started_at = None if job.started_at is None else format_time(job.started_at)
        # What a person does by hand has begun when it is done.
        is_of = out["attempt"] == job.attempt and out["started_at"] in (None, started_at)
        if out["job_serial"] != job.serial or not is_of:
            raise ViolationError(f"{job} is done in attempt {job.attempt}, begun {started_at}, with the outputs {out}")
        if "filename" in out and stored != (job.serial, job.attempt, started_at, out["value"]):
            raise ViolationError(f"{job} is done in attempt {job.attempt}, and its file holds {stored}")

    def at_rest(self):
        """Check everything once nothing moves any more."""
        records = self.world.records
        require(not records.all_of(JobLease), f"leases are left: {records.all_of(JobLease)}")
        lost = self.world.acknowledged_runs - {run.serial for run in records.all_of(Run)}
        require(not lost, f"runs were lost: {lost}")
        for workflow in self.world.workflows:
            self.workflow_at_rest(workflow)
        self._require_unknown_keys()

    def workflow_at_rest(self, workflow):
        """Check all that is in a workflow once nothing moves in it."""
        records, tasks = self.world.records, self.world.workflows[workflow]
        jobs = records.matching(Job, workflow_serial=workflow)
        of = {}
        for job in jobs:
            require(job.state is JobState.DONE, f"{job} is {job.state} at the end: {job.metadata}")
            self._require_own_result(job)
            require(self.claims.get(job.serial, 0) == job.attempt, f"{job} counted {job.attempt} attempts")
            key = job.run_serial, job.task_serial
            require(key not in of, f"{job} and {of.get(key)} are doubled")
            of[key] = job
        runs = [run.serial for run in records.matching(Run, workflow_serial=workflow)]
        self._require_follow_ups(runs, of, tasks, spawned_jobs(self.world, workflow))
        self._require_template(jobs, tasks)
        self._require_count(workflow)
        self._require_words_of_scripts(jobs)

    def _require_count(self, serial):
        """No script's change of a record that all share is undone by another's."""
        [workflow] = self.world.records.matching(Workflow, serial=serial)
        count, counted, counting = workflow.metadata.get("count", 0), self.world.counted, self.world.counting
        require(
            counted[serial] <= count <= counting[serial],
            f"the count is {count}; {counted[serial]} were acknowledged and {counting[serial]} may have been made",
        )

    def _require_words_of_scripts(self, jobs):
        """What scripts say beside their outputs is there once, and of the attempt that is done."""
        for job in jobs:
            if "filename" in job.outputs["out"]:
                said = job.metadata.get("progress_percentage"), job.metadata.get("output_units")
                expected = 100.0, {"out": unit_of(job.serial, job.attempt)}
                require(said == expected, f"{job} is done in attempt {job.attempt} and says {said}")
        titles = [event.title for event in self.world.records.all_of(ActivityEvent)]
        doubled = [title for title, count in Counter(titles).items() if count > 1 and title.startswith("attempt ")]
        require(not doubled, f"messages of scripts are doubled: {doubled}")
        lost = self.world.logged.keys() - titles
        require(not lost, f"messages of scripts were lost: {lost}")

    def _require_template(self, jobs, tasks):
        """One job defined the template of its task, and all others have it."""
        [task] = self.world.records.matching(Task, serial=tasks["c"])
        template = next((item["template"] for item in task.inputs if item["key"] == "template"), None)
        for job in jobs:
            if job.task_serial == task.serial and "template" in job.inputs:
                had = job.inputs["template"]
                is_first = template == f"of job {job.serial}"
                require(had == template or (had is None and is_first), f"{job} has {had!r} in place of {template!r}")

    def _require_unknown_keys(self):
        """What newer clients say of their records is kept by servers that do not know it."""
        records = self.world.records
        said = [*records.all_of(Workflow), *records.all_of(TaskType)]
        said += [
            record
            for record in records.all_of(Task)
            if any(record.serial in tasks.values() for tasks in self.world.workflows.values())
        ]
        for record in said:
            require(record.extra == NEW_KEYS, f"{record} lost what this version does not know: {record.extra}")
        if self.world.chances["request late"] > 0.0:
            return  # what a worker said before it was upgraded may come after what it says now
        if self.world.conditions.names == "copied":
            return  # they are one worker to the servers, and the last that registered says what it is
        workers = {}
        for worker in records.all_of(Worker):
            instance = worker.metadata.get(INSTANCE)
            require(instance is None or instance not in workers, f"{instance} is {worker} and {workers.get(instance)}")
            workers[instance] = worker
        for instance, version in self.world.versions_of_workers().items():
            require(instance in workers, f"{instance} is not a worker of its own")
            extra = workers[instance].extra
            expected = NEW_KEYS if version is Version.NEWER else {}
            require(extra == expected, f"{instance} of a {version.value} version is kept with {extra}")

    def _require_follow_ups(self, runs, of, tasks, spawned):
        single = {"a": ("start",), "b": ("a",), "c": ("a",), "d": ("b", "c")}
        for run in runs:
            for name in ("start", *single):
                require((run, tasks[name]) in of, f"run {run} has no job of task {name}")
            for name, used in single.items():
                self._require_made_of(of[run, tasks[name]], [of[run, tasks[other]] for other in used])
        if not runs:
            return
        ends = [of[run, tasks["d"]] for run in runs]
        for name in ("g", "h"):
            require((None, tasks[name]) in of, f"there is no job of task {name}")
        require(
            value_of(of[None, tasks["g"]]) == 1 + sum(map(value_of, ends)),
            f"{of[None, tasks['g']]} has the value {value_of(of[None, tasks['g']])} of {list(map(value_of, ends))}",
        )
        self._require_made_of(of[None, tasks["h"]], [of[None, tasks["g"]]])
        wrong = [job for source, job in spawned.items() if job.run_serial != self.jobs[source].run_serial]
        require(not wrong, f"spawned jobs are in other runs than what spawned them: {wrong}")
        require(
            len(of) == 5 * len(runs) + 2 + len(spawned),
            f"there are {len(of)} jobs of {len(runs)} runs, {len(spawned)} of them spawned",
        )

    def _require_made_of(self, job, used):
        given = [job.inputs[f"i{index}"] for index in range(len(used))]
        require(given == [other.outputs["out"] for other in used], f"{job} worked on {given}, which is older")
        require(value_of(job) == 1 + sum(map(value_of, used)), f"{job} has the value {value_of(job)}")


def value_of(job):
    return job.outputs["out"]["value"]
