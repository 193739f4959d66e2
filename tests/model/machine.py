"""Random commands of several clients to the real platform, each compared with what the reference answers."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.model.reference import ADMIN, BENCH, FINAL, STEPS, Reference, Refused, Shelf
from xfworker.adapters.argon2.password_hasher import Argon2PasswordHasher
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.change import Change
from xfworker.domain.errors import XFWorkerError
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.records import (
    Job,
    Project,
    Run,
    RunPriority,
    Task,
    TaskType,
    TaskTypeKind,
    Worker,
    Workflow,
    WorkflowState,
)
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.platform import Platform

RESULT = "result.bin"
_OPTIONS = PlatformOptions(lease_seconds=60.0, max_attempts=2)
_STEP_SECONDS = 7.0
_LOOK_SECONDS = 11.0
_MOST_PROJECTS = 3
_PEOPLE = ("anna", "ben")
_CALLERS = (ADMIN, *_PEOPLE)
_WORKERS = {"bench 1": BENCH, "bench 2": BENCH, "anna's": "anna"}
_PICK = st.integers(0, 1000)
_RECENT = st.integers(0, 5)
_WHO = st.sampled_from((*_CALLERS, "anna"))
_WORKER = st.sampled_from(sorted(_WORKERS))


class PlatformMachine(RuleBasedStateMachine):
    """
    Two servers over one record store, three people, three workers, and their scripts.

    A subclass gives the store by ``open_records`` and takes it back by ``close_records``.
    """

    commands = 0
    announces_later = False
    """Whether a server may hear a moment later what another one made ready; within 11 s it looks by itself."""

    @staticmethod
    def open_records():
        raise NotImplementedError

    @staticmethod
    def close_records(records):
        records.close()

    # --- the two sides ----------------------------------------------------------------------------------------------

    @initialize()
    def begin(self):
        self._turn = self._values = 0
        self.records = self.open_records()
        self.clock = ManualClock()
        self.signer = MemoryTokenSigner(self.clock)
        self.hasher = Argon2PasswordHasher(memory_kib=64, rounds=1)
        self.files = MemoryFileStore()
        self.servers = [self._server(), self._server()]
        platform = self.servers[0]
        self.tokens = {ADMIN: platform.admin_token()}
        accounts = self._accounts(ADMIN)
        self.tokens[BENCH] = accounts.add_worker_token("bench").text
        self.reference = Reference(lease_seconds=60.0, max_attempts=2)
        self.accounts = {}
        for name in _PEOPLE:
            self.accounts[name] = accounts.add(name, f"{name}-password").serial
            self.reference.people[name] = False
            self.tokens[name] = accounts.log_in(name, f"{name}-password").text
        admin = self._xf(ADMIN)
        self.task_types = {
            name: admin.create(
                TaskType(
                    name=f"Model.{name}",
                    kind=TaskTypeKind.PROCESSING if number else TaskTypeKind.SOURCE,
                    interface={"inputs": [{"key": "given", "type": "Float"}] if number else []},
                )
            ).serial
            for number, name in enumerate(STEPS)
        }
        self.workers = {}
        for name, owner in _WORKERS.items():
            self.workers[name] = self._queue(owner).register(Worker(name=name)).serial
            self.reference.workers[name] = owner
        self.projects, self.workflows, self.steps = [], {}, {}
        self.attempts, self.starts = [], []
        # Something to work on; that others may come to it is for the rules.
        for project, who in enumerate(_PEOPLE):
            self._create_project(who)
            self._start_run(who, self.projects[project], {"priority": RunPriority.NORMAL})

    def _server(self):
        platform = Platform(self.records, self.clock, self.signer, _OPTIONS, hasher=self.hasher, files=self.files)
        platform.begin_serving()
        platform.maintain()
        return platform

    def _at(self):
        """Give the servers in turn: what one did, the other must know."""
        self._turn += 1
        return self.servers[self._turn % 2]

    def _xf(self, who):
        platform = self._at()
        return platform.server_for(platform.authenticate(self.tokens.get(who, who)))

    def _queue(self, who):
        platform = self._at()
        return platform.queue_for(platform.authenticate(self.tokens[who]))

    def _control(self, who):
        platform = self._at()
        return platform.control_for(platform.authenticate(self.tokens[who]))

    def _accounts(self, who):
        platform = self._at()
        return platform.accounts_for(platform.authenticate(self.tokens[who]))

    def _both(self, ask, expect):
        """Ask the platform and the reference, and give what the platform answered, or ``None`` where both refused."""
        type(self).commands += 1
        try:
            expected, due = expect(), None
        except Refused as refused:
            expected, due = None, refused.error
        if due is None:
            return ask(), expected
        try:
            answer = ask()
        except XFWorkerError as error:
            if type(error) is due:
                return None, None
            raise AssertionError(f"{type(error).__name__} where {due.__name__} is due: {error}") from error
        raise AssertionError(f"{answer} where {due.__name__} is due")

    def _new_value(self):
        self._values += 1
        return float(self._values)

    def _serial(self, pick):
        serials = sorted(self.reference.tasks)
        return serials[pick % len(serials)]

    def _attempt(self, pick):
        # Counted from the newest, so that small numbers mean what is mostly running.
        return self.attempts[-1 - pick % len(self.attempts)]

    # --- people -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.projects) < _MOST_PROJECTS)
    @rule(who=_WHO)
    def create_project(self, who):
        self._create_project(who)

    def _create_project(self, who):
        def create():
            server = self._xf(who)
            project = server.create(Project(name=f"of {who}")).serial
            workflow = server.create(Workflow(project_serial=project, name="chain", state=WorkflowState.ACTIVE)).serial
            steps = {}
            for number, name in enumerate(STEPS):
                inputs = [
                    {"key": "given", "mode": "output", "task_serial": steps[other], "output_key": "made"}
                    for other in STEPS[max(number - 1, 0) : number]
                ]
                task = Task(workflow_serial=workflow, task_type_serial=self.task_types[name], name=name, inputs=inputs)
                steps[name] = server.create(task).serial
            return project, workflow, steps

        made, _ = self._both(create, lambda: self.reference.come_in(who))
        if made is not None:
            project, self.workflows[made[0]], self.steps[made[0]] = made
            self.projects.append(project)
            self.reference.shelves[project] = Shelf(who, {who})

    @precondition(lambda self: self.projects)
    @rule(who=_WHO, pick=_PICK, priority=st.sampled_from(RunPriority), given=st.booleans())
    def start_run(self, who, pick, priority, given):
        options = {"priority": priority}
        if given:
            options["outputs"] = {"made": self._new_value()}
        self._start_run(who, self.projects[pick % len(self.projects)], options)

    def _start_run(self, who, project, options):
        options = {**options, "idempotency_key": f"key {self._new_value()}"}
        run, _ = self._both(
            lambda: self._control(who).start_run(self.workflows[project], **options),
            lambda: self.reference.look_up(who, project),
        )
        if run is not None:
            self.starts.append((who, self.workflows[project], options, run.serial, project))
            job = self._xf(ADMIN).get(Job, run.source_job_serial)
            order = (job.sort_order, job.serial)
            made = options.get("outputs", {}).get("made")
            self.reference.started(project, run.serial, job.serial, order, options["priority"].value, made)

    @precondition(lambda self: self.starts)
    @rule(pick=_PICK)
    def start_a_run_again_by_its_key(self, pick):
        who, workflow, options, run, project = self.starts[pick % len(self.starts)]
        again, _ = self._both(
            lambda: self._control(who).start_run(workflow, **options), lambda: self.reference.look_up(who, project)
        )
        assert again is None or again.serial == run

    @precondition(lambda self: self.starts)
    @rule(who=_WHO, pick=_PICK, priority=st.sampled_from(RunPriority))
    def change_priority(self, who, pick, priority):
        *_, run, project = self.starts[pick % len(self.starts)]
        change = Change(values={"/priority": priority.value})
        changed, _ = self._both(
            lambda: self._xf(who).update(Run, run, change), lambda: self.reference.look_up(who, project)
        )
        if changed is not None:
            self.reference.runs[run] = priority.value

    @precondition(lambda self: self.projects)
    @rule(who=_WHO, other=st.sampled_from(_PEOPLE), pick=_PICK, shares=st.booleans())
    def share(self, who, other, pick, shares):
        project = self.projects[pick % len(self.projects)]
        if shares:
            self._both(
                lambda: self._accounts(who).share(project, self.accounts[other]),
                lambda: self.reference.share(who, project, other),
            )
        else:
            self._both(
                lambda: self._accounts(who).unshare(project, self.accounts[other]),
                lambda: self.reference.unshare(who, project, other),
            )

    @rule(name=st.sampled_from(_PEOPLE), disabled=st.booleans())
    def disable_or_enable(self, name, disabled):
        self._accounts(ADMIN).change(self.accounts[name], disabled=disabled)
        self.reference.disable(name, disabled)
        if not disabled:
            # Disabling ended all tokens for good.
            self.tokens[name] = self._accounts(ADMIN).log_in(name, f"{name}-password").text

    @precondition(lambda self: self.reference.tasks)
    @rule(who=_WHO, pick=_PICK)
    def restart(self, who, pick):
        ended = sorted(serial for serial, task in self.reference.tasks.items() if task.state in FINAL)
        # Mostly one that has ended, because others are refused.
        serial = ended[pick % len(ended)] if ended and pick % 3 else self._serial(pick)
        self._both(lambda: self._control(who).restart_job(serial), lambda: self.reference.restart(who, serial))

    @precondition(lambda self: self.reference.tasks)
    @rule(who=_WHO, pick=_PICK)
    def abort(self, who, pick):
        serial = self._serial(pick)
        self._both(lambda: self._control(who).abort_job(serial), lambda: self.reference.abort(who, serial))

    @precondition(lambda self: self.reference.tasks)
    @rule(who=_WHO, pick=_PICK)
    def declare_failed(self, who, pick):
        serial = self._serial(pick)
        change = Change(values={"/state": "Failed"})
        self._both(
            lambda: self._xf(who).update(Job, serial, change), lambda: self.reference.declare_failed(who, serial)
        )

    @precondition(lambda self: self.projects)
    @rule(who=_WHO, pick=_PICK, stale=st.booleans())
    def count_by_compare_and_set(self, who, pick, stale):
        project = self.projects[pick % len(self.projects)]
        workflow = self._xf(ADMIN).get(Workflow, self.workflows[project])
        shelf = self.reference.shelves[project]
        shelf.version = workflow.occ_lock_version
        version = shelf.version - stale
        change = Change(values={"/metadata/count": shelf.count + 1}, expected_version=version)
        self._both(
            lambda: self._xf(who).update(Workflow, workflow.serial, change),
            lambda: self.reference.count(who, project, version),
        )

    # --- workers ----------------------------------------------------------------------------------------------------

    @rule(worker=_WORKER)
    def claim(self, worker):
        self._claim(worker)

    @rule(worker=_WORKER, names_file=st.booleans())
    def do_a_job(self, worker, names_file):
        """Do what a worker and a script do when nothing goes wrong; else little would ever be done."""
        lease = self._claim(worker)
        if lease is not None:
            self._store_result(lease)
            self._finish(lease, names_file=names_file)
            self._end(worker, lease, "finished")

    def _claim(self, worker):
        queue = self.workers[worker]
        lease, expected = self._both(
            lambda: self._queue(_WORKERS[worker]).claim(queue), lambda: self.reference.next_job(worker)
        )
        if lease is None and expected is not None and self.announces_later:
            self._pass(_LOOK_SECONDS)
            lease, expected = self._both(
                lambda: self._queue(_WORKERS[worker]).claim(queue), lambda: self.reference.next_job(worker)
            )
        assert (None if lease is None else lease.job.serial) == expected
        if lease is not None:
            self._keep(worker, lease, self.reference.taken(worker, expected))
        return lease

    @precondition(lambda self: self.reference.tasks)
    @rule(worker=_WORKER, pick=_PICK)
    def claim_a_certain_job(self, worker, pick):
        serial = self._serial(pick)
        lease, attempt = self._both(
            lambda: self._queue(_WORKERS[worker]).claim(self.workers[worker], job_serial=serial),
            lambda: self.reference.take(worker, serial),
        )
        if lease is not None:
            self._keep(worker, lease, attempt)

    def _keep(self, worker, lease, attempt):
        task = self.reference.tasks[lease.job.serial]
        assert lease.attempt == attempt
        assert lease.job.inputs.get("given") == task.given
        self.attempts.append((worker, lease))

    @precondition(lambda self: self.attempts)
    @rule(picks=st.lists(_RECENT, min_size=1, max_size=4))
    def heartbeat(self, picks):
        worker, _ = self._attempt(picks[0])
        leases = [lease for pick in picks for owner, lease in [self._attempt(pick)] if owner == worker]
        answers, expected = self._both(
            lambda: self._queue(_WORKERS[worker]).heartbeat(leases),
            lambda: self.reference.renew(worker, [(lease.job.serial, lease.attempt) for lease in leases]),
        )
        if answers is not None:
            assert [(answer.lost is None, answer.abort_requested) for answer in answers] == expected

    @precondition(lambda self: self.attempts)
    @rule(pick=_RECENT, ending=st.sampled_from(["finished", "crashed", "handed_back", "aborted"]))
    def end(self, pick, ending):
        self._end(*self._attempt(pick), ending)

    def _end(self, worker, lease, ending):
        self._both(
            lambda: self._queue(_WORKERS[worker]).end(lease, Outcome(ending=Ending(ending))),
            lambda: self.reference.end(worker, lease.job.serial, lease.attempt, ending),
        )

    # --- scripts ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.attempts)
    @rule(pick=_RECENT)
    def report_progress(self, pick):
        _, lease = self._attempt(pick)
        change = Change(values={"/metadata/progress_percentage": 50.0}, bump=False)
        self._both(
            lambda: self._xf(lease.server_auth).update(Job, lease.job.serial, change),
            lambda: self.reference.report_progress(lease.job.serial, lease.attempt),
        )

    @precondition(lambda self: self.attempts)
    @rule(pick=_RECENT)
    def store_result(self, pick):
        self._store_result(self._attempt(pick)[1])

    def _store_result(self, lease):
        serial, content = lease.job.serial, str(self._new_value()).encode()
        resource = record_resource("job_result", serial, RESULT)

        def store():
            platform = self._at()
            token = self._xf(lease.server_auth).file_token([Scope("write", resource)])
            with platform.held_file_rights(token):
                return self.files.put(resource, content)

        self._both(store, lambda: self.reference.store(serial, lease.attempt, content))

    @precondition(lambda self: self.attempts)
    @rule(pick=_RECENT, names_file=st.booleans())
    def finish(self, pick, names_file):
        self._finish(self._attempt(pick)[1], names_file=names_file)

    def _finish(self, lease, *, names_file):
        serial, made = lease.job.serial, self._new_value()
        outputs = {"made": made}
        if names_file:
            reference = {"type": "ForeignFile", "source": "job_result", "job_serial": serial, "filename": RESULT}
            outputs["file"] = reference
        change = Change(values={"/outputs": outputs, "/state": "Done"})
        self._both(
            lambda: self._xf(lease.server_auth).update(Job, serial, change),
            lambda: self.reference.finish(serial, lease.attempt, made, names_file=names_file),
        )

    # --- files ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.reference.tasks)
    @rule(who=_WHO, pick=_PICK)
    def read_file(self, who, pick):
        serial = self._serial(pick)
        content, expected = self._both(
            lambda: b"".join(self.files.open_read(*self._granted(who, "read", serial))),
            lambda: self.reference.read_file(who, serial),
        )
        assert content == expected

    @precondition(lambda self: self.reference.files)
    @rule(who=_WHO, pick=_PICK)
    def delete_file(self, who, pick):
        serials = sorted(self.reference.files)
        serial = serials[pick % len(serials)]
        self._both(
            lambda: self.files.delete(*self._granted(who, "delete", serial)),
            lambda: self.reference.delete_file(who, serial),
        )

    def _granted(self, who, verb, serial):
        resource = record_resource("job_result", serial, RESULT)
        platform = self._at()
        token = self._xf(who).file_token([Scope(verb, resource)])
        with platform.held_file_rights(token):
            return platform.verify_file_token(token.token), resource

    # --- time and servers -------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([5.0, 25.0, 65.0]))
    def let_time_pass(self, seconds):
        self._pass(seconds)

    def _pass(self, seconds):
        while seconds > 0:
            step = min(seconds, _STEP_SECONDS)
            seconds -= step
            self.clock.advance(step)
            self.reference.pass_time(step)
            for server in self.servers:
                server.maintain()

    @rule(number=st.integers(0, 1))
    def restart_server(self, number):
        self.servers[number] = self._server()
        self.reference.restart_server()

    # --- what is compared after each command ------------------------------------------------------------------------

    @invariant()
    def jobs_and_leases_are_those_of_the_reference(self):
        if not self.starts:
            return
        jobs = {job.serial: job for job in self._xf(ADMIN).find(Job)}
        self._take_follow_ups(jobs)
        reference = self.reference
        assert {serial: _seen(job) for serial, job in jobs.items()} == {
            serial: (task.state, task.attempt, task.made if task.state == "Done" else None, _in_use(task))
            for serial, task in reference.tasks.items()
        }
        with self.records.transaction(write=False) as transaction:
            leases = transaction.find(JobLease)
        serials = {serial: name for name, serial in self.workers.items()}
        assert {lease.job_serial: (serials[lease.worker_serial], lease.attempt) for lease in leases} == {
            serial: (held.worker, held.attempt) for serial, held in reference.leases.items()
        }
        assert len(leases) == len(reference.leases)

    def _take_follow_ups(self, jobs):
        """Take over the serials of the jobs that must have been made; any other new job is a violation."""
        while due := self.reference.follow_ups():
            for before, step in due:
                done = self.reference.tasks[before]
                task = self.steps[done.project][step]
                made = [job for job in jobs.values() if (job.run_serial, job.task_serial) == (done.run, task)]
                assert len(made) == 1, f"job {before} is done in run {done.run}, and {step} was made {len(made)} times"
                self.reference.followed(before, made[0].serial, (made[0].sort_order, made[0].serial))

    def teardown(self):
        self.close_records(self.records)


def _seen(job):
    in_use = job.inputs.get("given") if job.state.value in ("Ready", "Running", "Done") else None
    made = job.outputs.get("made") if job.state.value == "Done" else None
    return job.state.value, job.attempt, made, in_use


def _in_use(task):
    return task.given if task.state in ("Ready", "Running", "Done") else None


def machine_over(open_records, close_records=lambda records: records.close(), *, announces_later=False):
    """Give the machine over a record store."""
    members = {
        "open_records": staticmethod(open_records),
        "close_records": staticmethod(close_records),
        "announces_later": announces_later,
        "commands": 0,
    }
    return type("PlatformMachineOverStore", (PlatformMachine,), members)
