"""
What the platform promises, written a second time and as simply as it can be: dictionaries, no store, no transactions.

The workflow of every project is a chain: ``scan`` begins a run, ``mask`` takes what it made, and ``measure`` what that
made. Each method answers as the platform must, or raises :class:`Refused` with the error that the platform must raise.
"""

from attrs import define, field

from xfworker.domain.errors import (
    AuthenticationFailed,
    FileNotInStore,
    IllegalTransition,
    InvalidParameter,
    JobAborted,
    LeaseLost,
    PermissionDenied,
    RecordConflict,
    RecordNotFound,
)

STEPS = ("scan", "mask", "measure")
ADMIN = "admin"
BENCH = "bench"
FINAL = ("Done", "Failed", "Aborted")


class Refused(Exception):
    """The platform must refuse, by this error."""

    def __init__(self, error):
        super().__init__(error.__name__)
        self.error = error


def require(holds, error):
    if not holds:
        raise Refused(error)


@define
class Shelf:
    """A project with its workflow."""

    owner: str
    members: set
    count: int = 0
    version: int = 0


@define
class Task:
    """A job: one step of one run."""

    project: int
    run: int
    step: str
    order: tuple
    given: object = None
    state: str = "Ready"
    attempt: int = 0
    made: object = None
    lost: int = 0
    to_stop: bool = False
    reported: bool = False
    worker: str | None = None

    def begin_anew(self, state):
        self.state, self.made, self.worker = state, None, None
        self.to_stop = self.reported = False


@define
class Held:
    """A lease."""

    worker: str
    attempt: int
    expires: float


@define
class Reference:
    """
    The whole of it.

    Attributes:
        people: Who is there; of each, whether the account is disabled.
        workers: Whose each worker is.
        tasks: The jobs by serial.
        leases: The leases by job.
        files: What is stored as the result of each job.
    """

    lease_seconds: float
    max_attempts: int
    now: float = 0.0
    people: dict = field(factory=dict)
    workers: dict = field(factory=dict)
    shelves: dict = field(factory=dict)
    runs: dict = field(factory=dict)
    tasks: dict = field(factory=dict)
    leases: dict = field(factory=dict)
    files: dict = field(factory=dict)

    # --- who may what -----------------------------------------------------------------------------------------------

    def come_in(self, who):
        require(who in (ADMIN, BENCH) or not self.people[who], AuthenticationFailed)

    def sees(self, who, project):
        return who == ADMIN or who in self.shelves[project].members

    def may_run(self, who, project):
        return who == BENCH or self.sees(who, project)

    def look_up(self, who, project):
        self.come_in(who)
        require(self.sees(who, project), RecordNotFound)

    def share(self, who, project, other):
        self.look_up(who, project)
        require(who in (ADMIN, self.shelves[project].owner), PermissionDenied)
        self.shelves[project].members.add(other)

    def unshare(self, who, project, other):
        self.look_up(who, project)
        require(who in (ADMIN, self.shelves[project].owner), PermissionDenied)
        if other != self.shelves[project].owner:
            self.shelves[project].members.discard(other)
            self._take_leases(other)

    def disable(self, who, disabled):
        self.people[who] = disabled
        self._take_leases(who)

    def _take_leases(self, who):
        """Whoever loses the right to jobs loses the leases on them."""
        for serial, held in sorted(self.leases.items()):
            may_run = not self.people[who] and self.may_run(who, self.tasks[serial].project)
            if self.workers[held.worker] == who and not may_run:
                self._lose(serial)

    # --- runs and jobs ----------------------------------------------------------------------------------------------

    def started(self, project, run, serial, order, priority, made):
        """Keep a run that the platform made, with its first job."""
        self.runs[run] = priority
        self.tasks[serial] = Task(project, run, "scan", order)
        if made is not None:
            self.tasks[serial].made = made
            self._end(serial, "Done")

    def restart(self, who, serial):
        task = self.tasks[serial]
        self.look_up(who, task.project)
        require(task.state in FINAL and serial not in self.leases, IllegalTransition)
        others = self._made_from(serial)
        require(not any(self._is_busy(other) for other in others), IllegalTransition)
        for other in others:
            self.tasks[other].begin_anew("Waiting")
        before = self._before(serial)
        waits = before is not None and self.tasks[before].state != "Done"
        task.begin_anew("Waiting" if waits else "Ready")
        task.lost = 0
        if before is not None and not waits:
            task.given = self.tasks[before].made

    def abort(self, who, serial):
        task = self.tasks[serial]
        self.look_up(who, task.project)
        require(task.state not in FINAL, IllegalTransition)
        if task.state == "Running":
            task.to_stop = True
        else:
            self._end(serial, "Aborted")

    def declare_failed(self, who, serial):
        task = self.tasks[serial]
        self.look_up(who, task.project)
        if task.state != "Failed":
            require(task.state not in FINAL, IllegalTransition)
            self._end(serial, "Failed")

    def _of_run(self, serial, step):
        run = self.tasks[serial].run
        return next((other for other, task in self.tasks.items() if (task.run, task.step) == (run, step)), None)

    def _before(self, serial):
        at = STEPS.index(self.tasks[serial].step)
        return self._of_run(serial, STEPS[at - 1]) if at else None

    def _after(self, serial):
        at = STEPS.index(self.tasks[serial].step) + 1
        return self._of_run(serial, STEPS[at]) if at < len(STEPS) else None

    def _made_from(self, serial):
        """Whatever was made, or is being made, from what a job made."""
        made = []
        while serial is not None and self.tasks[serial].state == "Done":
            serial = self._after(serial)
            if serial is not None and self.tasks[serial].state != "Waiting":
                made.append(serial)
        return made

    def _is_busy(self, serial):
        return self.tasks[serial].state == "Running" or serial in self.leases

    def _end(self, serial, state):
        task = self.tasks[serial]
        task.state = state
        after = self._after(serial)
        if state == "Done" and after is not None and self.tasks[after].state == "Waiting":
            self.tasks[after].state, self.tasks[after].given = "Ready", task.made

    def follow_ups(self):
        """Give the done jobs whose next one is not there yet, as the platform must have made it by now."""
        return [
            (serial, STEPS[STEPS.index(task.step) + 1])
            for serial, task in self.tasks.items()
            if task.state == "Done" and task.step != STEPS[-1] and self._after(serial) is None
        ]

    def followed(self, before, serial, order):
        task = self.tasks[before]
        step = STEPS[STEPS.index(task.step) + 1]
        self.tasks[serial] = Task(task.project, task.run, step, order, given=task.made)

    # --- the queue --------------------------------------------------------------------------------------------------

    def next_job(self, worker):
        self.come_in(self.workers[worker])
        ready = [
            (self.runs[task.run] != "High", task.order, serial)
            for serial, task in self.tasks.items()
            if task.state == "Ready"
            and self.runs[task.run] != "Paused"
            and self.may_run(self.workers[worker], task.project)
        ]
        return min(ready)[-1] if ready else None

    def take(self, worker, serial):
        self.come_in(self.workers[worker])
        task = self.tasks[serial]
        if not self.may_run(self.workers[worker], task.project):
            raise Refused(RecordNotFound)
        require(task.state == "Ready", IllegalTransition)
        return self.taken(worker, serial)

    def taken(self, worker, serial):
        task = self.tasks[serial]
        task.state, task.attempt, task.worker = "Running", task.attempt + 1, worker
        task.to_stop = task.reported = False
        self.leases[serial] = Held(worker, task.attempt, self.now + self.lease_seconds)
        return task.attempt

    def renew(self, worker, attempts):
        """Give for each attempt whether it is held, and whether it is to stop."""
        self.come_in(self.workers[worker])
        latest = dict(sorted(attempts))
        answers = []
        for serial, attempt in attempts:
            held, task = self.leases.get(serial), self.tasks[serial]
            is_held = (
                held is not None
                and (held.worker, held.attempt) == (worker, attempt)
                and attempt == latest[serial]
                and self.may_run(self.workers[worker], task.project)
            )
            if is_held:
                held.expires = self.now + self.lease_seconds
            answers.append((is_held, is_held and (task.to_stop or task.state not in ("Running", "Done"))))
        return answers

    def end(self, worker, serial, attempt, ending):
        who = self.workers[worker]
        self.come_in(who)
        task = self.tasks[serial]
        if task.attempt != attempt:
            require(who == BENCH or self.sees(who, task.project), RecordNotFound)
            raise Refused(LeaseLost)
        require(self.may_run(who, task.project), LeaseLost)
        held = self.leases.pop(serial, None)
        if held is None:
            was_reported = (
                task.state != "Running" if ending == "handed_back" else task.reported and task.state != "Ready"
            )
            require(was_reported, LeaseLost)
            return
        if ending == "handed_back" and not task.to_stop:
            if task.state == "Running":
                task.begin_anew("Ready")
            return
        task.reported = True
        if task.state not in FINAL:
            stopped = ending == "aborted" or task.to_stop
            task.to_stop = False
            self._end(serial, "Aborted" if stopped else "Failed")

    def pass_time(self, seconds):
        """Let time pass; who was silent for longer than a lease loses it."""
        self.now += seconds
        for serial, held in sorted(self.leases.items()):
            if held.expires < self.now:
                self._lose(serial)

    def _lose(self, serial):
        del self.leases[serial]
        task = self.tasks[serial]
        if task.state != "Running":
            return
        if task.to_stop:
            task.to_stop, task.reported = False, True
            self._end(serial, "Aborted")
        elif task.lost + 1 >= self.max_attempts:
            task.reported = True
            self._end(serial, "Failed")
        else:
            task.begin_anew("Ready")
            task.lost += 1

    def restart_server(self):
        for held in self.leases.values():
            held.expires = self.now + self.lease_seconds

    # --- scripts and files ------------------------------------------------------------------------------------------

    def _require_attempt(self, serial, attempt, *, to_write=True):
        task = self.tasks[serial]
        require((task.state, task.attempt) == ("Running", attempt), LeaseLost)
        require(not (to_write and task.to_stop), JobAborted)

    def report_progress(self, serial, attempt):
        self._require_attempt(serial, attempt)

    def store(self, serial, attempt, content):
        self._require_attempt(serial, attempt)
        self.files[serial] = content

    def finish(self, serial, attempt, made, *, names_file):
        self._require_attempt(serial, attempt)
        require(not names_file or serial in self.files, InvalidParameter)
        self.tasks[serial].made = made
        self._end(serial, "Done")

    def read_file(self, who, serial):
        self.come_in(who)
        require(self.sees(who, self.tasks[serial].project), PermissionDenied)
        require(serial in self.files, FileNotInStore)
        return self.files[serial]

    def delete_file(self, who, serial):
        self.read_file(who, serial)
        del self.files[serial]

    # --- compare and set --------------------------------------------------------------------------------------------

    def count(self, who, project, version):
        self.look_up(who, project)
        require(version == self.shelves[project].version, RecordConflict)
        self.shelves[project].count += 1
