"""A world of servers, workers and people, in which a seed decides what goes wrong."""

import logging
import os
import random
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from unittest.mock import patch

import structlog

from tests.simulation.conditions import conditions_of
from tests.simulation.contents import read_content
from tests.simulation.disk import SHARE, TearingDisk, TearingFileStore
from tests.simulation.exchange import clients
from tests.simulation.interpreter import interpreters
from tests.simulation.ledger import Ledger, ViolationError, require
from tests.simulation.luck import Luck, Risks
from tests.simulation.network import RemoteFiles, RequestRisks, Wire, direct_clients
from tests.simulation.people import People
from tests.simulation.processes import Server, WorkerProcess
from tests.simulation.records import ServerDiedError, SimulatedRecords
from tests.simulation.runs_by_hand import RunsByHand
from tests.simulation.scripts import Runner, Source
from tests.simulation.threads import Threads
from tests.simulation.timeline import Host, Timeline
from tests.simulation.trouble import Trouble
from tests.simulation.uploads import ServerUploads, simulated_upload_times
from tests.simulation.versions import OF_SERVERS, OF_WORKERS, Version
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.api.composition.image_formats import configured_formats
from xfworker.api.settings.model import Settings
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.conversion import format_time
from xfworker.domain.errors import ServerError, XFWorkerError
from xfworker.domain.files import record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import INSTANCE, Job, Worker
from xfworker.domain.resources import Offer
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.platform import Platform
from xfworker.services.worker import kept_lease, loop
from xfworker.services.worker.capacity import Capacity
from xfworker.services.worker.job_executor import JobExecutor
from xfworker.services.worker.loop import WorkerLoop

_REPLACED_SECONDS = 250.0
_HAVE_THE_SHARE = 0.75
_LEFT_BEHIND = Version.OLDER, Version.OTHER
_MACHINE = Offer(cores=4, memory_mib=16384)


class SimulatedFiles(MemoryFileStore):
    """The file store in memory, into which tests may look without a token."""

    def content(self, resource):
        stored = self._files.get(resource)
        return None if stored is None else stored.content


class World:
    """Everything of one seed."""

    def __init__(self, seed, folder, *, only=None, runs=None):
        self.luck = Luck(seed, only)
        self.timeline = Timeline()
        self.luck.now = lambda: self.timeline.now
        self.threads = Threads(self.timeline)
        self.folder = folder
        self.conditions = self._conditions()
        self.chances = self.conditions.chances
        self.options = self._options()
        self.ledger = Ledger(self)
        self.records = SimulatedRecords(self.luck, self._committed)
        self.records.risks = Risks.of(
            self.chances, "disk full", "server dies before commit", "server dies after commit"
        )
        self.may_hold = {}
        self.disk = TearingDisk(self, folder / "store") if self.conditions.files_on_disk else None
        self.shares_files = self._shares_files()
        self.files = SimulatedFiles() if self.disk is None else TearingFileStore(self, self.disk.root)
        self.image_formats = configured_formats(Settings())
        self.counting, self.counted = Counter(), Counter()
        self.acknowledged_runs = set()
        self.spawned_by = set()
        self.logged = {}
        self.uploads = {}
        self.uploaded_at = {}
        self.mover = None
        self.violations = []
        self.partitions = {}
        self.unanswered = {}
        self.workflows = {}
        """The tasks of each workflow, by name."""
        self.python = None
        self._risks_of_person = RequestRisks.of(self.chances)
        self._risks = RequestRisks.of(self.chances, "process killed")
        self._keys = 0
        self.server_step = 0.0
        self.runs = self.conditions.runs if runs is None else runs
        self.servers = []
        self.workers = {}
        self._people = self._people_of()
        self._by_hand = RunsByHand(self)
        self._signer = MemoryTokenSigner(self._people.host.clock())
        self.trouble = Trouble(self)
        self._at_work = True
        self.all_awake_at = 0.0

    # --- what a kind of world chooses -------------------------------------------------------------------------------

    rest_seconds = 3 * 3600.0
    """When everything has come to rest at the latest."""

    def _conditions(self):
        return conditions_of(self.luck)

    def _options(self):
        return PlatformOptions(lease_seconds=self.conditions.lease_seconds, max_attempts=3)

    def _shares_files(self):
        """Return whether the store names the paths of files on a share, which some of the workers' machines have."""
        return self.disk is not None and self.luck.switched_on("direct access")

    def _people_of(self):
        return People(self)

    def _platform(self, host):
        return Platform(self.records, host.clock(), self._signer, self.options, files=self.files)

    def _bearer_of(self, host):
        return self._people.bearer

    def _sends_messages(self, host):
        return self.conditions.messages

    def _old_directories(self, number):
        return []

    def _run_worker(self, number, work):
        work.run()
        # One that stopped in an orderly way is started again.
        self.timeline.call(5.0, lambda: self.start_worker(number))

    # --- what the parts ask for -------------------------------------------------------------------------------------

    def runs_whole_script(self, job_serial):
        """Return whether a job's script does all that scripts do."""
        return self.luck.number(f"whole script of job {job_serial}") < self.conditions.whole_scripts

    def work_seconds_of(self, job_serial):
        """Give how long each of the two steps of a job's script takes at most."""
        return self.conditions.work_seconds

    def is_task(self, name, serial):
        """Return whether a task is the one of this name, of whichever workflow."""
        return any(tasks[name] == serial for tasks in self.workflows.values())

    def new_key(self):
        self._keys += 1
        return f"key-{self._keys}"

    def risks_of(self, host):
        """Give what may befall a request of a process, before and after it is worked on."""
        return self._risks_of_person if host is self._people.host else self._risks

    def clients(self, wire, bearer):
        """Give what a process asks the servers by."""
        return clients(wire, bearer) if self._sends_messages(wire.host) else direct_clients(wire, bearer)

    def version_of_server(self, platform):
        return next((server.host.version for server in self.servers if server.platform is platform), Version.THIS)

    def versions_of_workers(self):
        """Give the version of each worker by its instance."""
        return {self.name_and_instance(number)[1]: worker.host.version for number, worker in self.workers.items()}

    def _next_version(self, name, versions):
        """Give the version that a process is started with; nobody upgrades before there is something to upgrade."""
        if not self.conditions.messages or self.luck.ended:
            return Version.THIS
        return self.luck.choice(f"{name}/version", versions)

    @contextmanager
    def moving(self, what, key):
        """Know by which request of a person jobs are moved, where it is one to restart or abort a job."""
        self.mover = (what, key) if what in {"restart", "abort"} else None
        try:
            yield
        finally:
            self.mover = None

    def is_unanswered(self, machine):
        """Return whether a machine's requests reach the servers, and no answer comes back."""
        return bool(self.unanswered) and self.unanswered.get(machine.name, 0.0) > self.timeline.now

    def server_for(self, machine):
        """Give a server that a machine reaches, or ``None``."""
        now, partitions = self.timeline.now, self.partitions
        there = [server for server in self.servers if server.host.suspended_until <= now]
        if machine is not None and partitions:
            if partitions.get(machine.name, 0.0) > now:
                return None
            there = [server for server in there if partitions.get((machine.name, server.host.name), 0.0) <= now]
        if len(there) > 1:
            return self.luck.choice("server", there)
        return there[0] if there else None

    def stored(self, job):
        """Give what the files of a job's result say of themselves; ``None`` where they do not all say the same."""
        out = job.outputs["out"]
        names = out["filename"], *(out.get("filenames") or ())
        contents = [self.files.content(record_resource("job_result", job.serial, name)) for name in names]
        said = {None if content is None else read_content(content) for content in contents}
        return said.pop() if len(said) == 1 else None

    def note_stray(self, error):
        """A request whose answer nobody hears may be refused, but the platform must not break over it."""
        if not isinstance(error, XFWorkerError):
            self.violations.append(f"a repeated request broke the server: {type(error).__name__}: {error}")

    def check_published(self, resource, content):
        """Check that what is about to be published is of the attempt that runs."""
        if resource.source != "job_result":
            return
        serial, attempt, started_at, _ = read_content(content)
        job = self.ledger.jobs.get(serial)
        require(job is not None, f"a file of job {serial} is published, which is not there")
        require(
            (job.state, job.attempt, format_time(job.started_at)) == (JobState.RUNNING, attempt, started_at),
            f"attempt {attempt} at {job}, begun {started_at}, publishes a file while it is {job.state} in attempt "
            f"{job.attempt}, begun {job.started_at}",
        )

    def _committed(self, records):
        try:
            self.ledger.committed(records)
        except ViolationError as error:
            self.violations.append(str(error))

    # --- servers ----------------------------------------------------------------------------------------------------

    def start_server(self, number):
        name = f"server {number}"
        host = Host(self.timeline, name, step_seconds=self.server_step, version=self._next_version(name, OF_SERVERS))
        platform = self._platform(host)
        self.uploads[platform] = ServerUploads.of(self, platform)
        platform.join({})
        platform.begin_serving()
        server = Server(host, platform)
        self.servers.append(server)
        self._maintain(server)
        if host.version is Version.OTHER:
            # Nobody can work with it, so it is soon replaced again.
            self.luck.disturb(_REPLACED_SECONDS)
            self.timeline.call(self.luck.between(f"{name}/taken back", 5.0, 100.0), lambda: self.server_died(server))
        return server

    def _maintain(self, server):
        wait = self._maintained(server)
        if wait is not None:
            self.timeline.call(wait, lambda: self._maintain(server))

    def _maintained(self, server):
        """Let a server do what is due, and give the seconds until the next time; none where it has died."""
        if server.host.dead:
            return None
        if not server.answers:
            return server.host.resumes_at - self.timeline.now
        with suppress(ServerError):
            try:
                server.platform.maintain()
            except ServerDiedError:
                self.server_died(server)
                return None
        return server.platform.maintenance_seconds

    def come_back_from_power_cut(self):
        """The servers, the records and the files are on one machine; each record that was committed is still there."""
        self.disk.come_back()
        self.files = TearingFileStore(self, self.disk.root)
        for server in list(self.servers):
            self.server_died(server)
        try:
            self.files.check()
        except ViolationError as error:
            self.violations.append(str(error))

    def server_died(self, server):
        if self.disk is not None and self.disk.is_cut:
            self.come_back_from_power_cut()
        if server.host.dead:
            return
        server.host.dead = True
        self.luck.disturb(_REPLACED_SECONDS)
        self.servers.remove(server)
        self.records.serving -= 1
        number = int(server.host.name.split()[-1])
        self.timeline.call(self.luck.between("server comes back", 1.0, 100.0), lambda: self.start_server(number))

    # --- workers ----------------------------------------------------------------------------------------------------

    def start_worker(self, number):
        if not self._at_work:
            return
        host = Host(self.timeline, f"worker {number}", version=self._next_version(f"worker {number}", OF_WORKERS))
        conditions = self.conditions
        runner, executor = self.runner_and_executor(host)
        name, instance = self.name_and_instance(number)
        work = WorkerLoop(
            worker=lambda: Worker(
                name=name,
                max_concurrent_jobs=conditions.concurrency,
                metadata={INSTANCE: instance, "resources": _MACHINE.to_json()},
            ),
            capacity=Capacity(total=_MACHINE, concurrency=conditions.concurrency),
            queue=executor.queue,
            executor=executor,
            filesystem=runner.filesystem,
            clock=host.clock(),
            list_old=lambda: self._old_directories(number),
            concurrency=conditions.concurrency,
            idle_seconds=conditions.idle_seconds,
        )
        # These were made with the module's own classes when the class was.
        for name_of_event in ("_stopping", "_changed"):
            setattr(work, name_of_event, self.threads.Event())
        work._lock = self.threads.Lock()  # noqa: SLF001  as above
        self.workers[number] = WorkerProcess(host, work, runner)

        def run():
            self._run_worker(number, work)

        self.timeline.spawn(host, run, host.name)

    def name_and_instance(self, number):
        """Give how a worker calls itself, and what it says which computer it is."""
        own = f"worker {number}"
        return {"own": (own, own), "alike": ("worker", own), "copied": ("worker", "worker")}[self.conditions.names]

    def runner_and_executor(self, host):
        """Give what runs scripts on a machine, and what executes jobs there."""
        wire = Wire(self, host)
        folder = self.folder / host.name.replace(" ", "-")
        folder.mkdir(exist_ok=True)
        has_share = self.shares_files and self.luck.number(f"{host.name} has the share") < _HAVE_THE_SHARE
        runner = Runner(self, host, LocalFilesystem(folder), {SHARE: self.disk.root} if has_share else {})
        clients = self.clients(wire, self._bearer_of(host))
        return runner, JobExecutor(
            queue=clients.queue,
            server=clients.server,
            files=RemoteFiles(wire),
            runner=runner,
            clock=host.clock(),
            source=Source(self, host),
            server_host="simulated",
            server_port="1",
            look_seconds=self.conditions.look_seconds,
        )

    # --- trouble ----------------------------------------------------------------------------------------------------

    def _trouble(self):
        if not self.luck.ended:
            self.trouble.strike()
            self.timeline.call(self.conditions.trouble_seconds, self._trouble)

    def restart_the_dead(self):
        """Start workers again that died, by chaos or in the middle of a request."""
        for number, worker in list(self.workers.items()):
            if worker.host.dead and worker.runner is not None:
                worker.runner.machine_died()
                worker.runner = None
                wait = self.luck.between(f"{worker.host.name}/comes back", 1.0, 200.0)
                self.timeline.call(wait, lambda number=number: self.start_worker(number))

    def calm(self):
        """From now on nothing goes wrong any more."""
        self.luck.ended = True
        self.partitions.clear()
        self.unanswered.clear()
        self.restart_the_dead()
        for host in [server.host for server in self.servers] + [worker.host for worker in self.workers.values()]:
            # What sleeps already wakes up when it was to.
            self.all_awake_at = max(self.all_awake_at, host.suspended_until)
            host.suspended_until = min(host.suspended_until, self.timeline.now)
            host.version = Version.THIS if host.version in _LEFT_BEHIND else host.version

    # --- the whole --------------------------------------------------------------------------------------------------

    def live(self):
        """Let everything happen, and give what went wrong that must not: nothing, mostly."""
        random.seed(self.luck.seed)
        with self._patched():
            for number in range(1, 1 + self.conditions.servers):
                self.start_server(number)
            self.luck.ended = True
            workflow = self._people.set_up(self.servers[0].platform)
            self.luck.ended = False
            for number in range(1, 1 + self.conditions.workers):
                self.start_worker(number)
            person = self._people.begin(workflow)
            self._by_hand.begin(self._people.bearer)
            self.timeline.call(self.conditions.trouble_seconds, self._trouble)
            self.timeline.run(self.rest_seconds, lambda: person.ended or self._failed())
            if not self._failed():
                self._end(person)
            self._kill_all()
        return [*self.violations, *self.timeline.failures]

    def _failed(self):
        return self.violations or self.timeline.failures

    def _end(self, person):
        if not person.ended:
            waiting = [
                f"{job} is {job.state} {job.metadata.get('error_message', '')}"
                for job in self.records.all_of(Job)
                if job.state is not JobState.DONE
            ]
            leases = len(self._leases())
            self.violations.append(f"something waits for ever: {'; '.join(waiting) or 'no job'}; {leases} leases")
            return
        try:
            self.ledger.at_rest()
        except ViolationError as error:
            self.violations.append(str(error))
        self._at_work = False
        for worker in self.workers.values():
            worker.loop.stop()
        self.timeline.run(
            self.timeline.now + 1000.0, lambda: not any(worker.host.tasks for worker in self.workers.values())
        )
        left = [task.name for worker in self.workers.values() for task in worker.host.tasks]
        if left:
            self.violations.append(f"these wait for ever: {', '.join(left)}")

    def _leases(self):
        return self.records.all_of(JobLease)

    def _kill_all(self):
        hosts = [self._people.host, self._by_hand.host, *(worker.host for worker in self.workers.values())]
        runners = [self._by_hand.runner, *(worker.runner for worker in self.workers.values())]
        for runner in runners:
            hosts += [] if runner is None else [running.host for running in runner.running]
        for host in hosts:
            host.kill()
        self.timeline.run(self.timeline.now)

    @contextmanager
    def _patched(self):
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        try:
            with ExitStack() as stack:
                for module in (kept_lease, loop):
                    stack.enter_context(patch.object(module, "threading", self.threads))
                self.python = stack.enter_context(interpreters(self.timeline))
                stack.enter_context(simulated_upload_times(self))
                if self.disk is not None:
                    stack.enter_context(patch.object(os, "fsync", self.disk.fsync))
                yield
        finally:
            structlog.reset_defaults()
