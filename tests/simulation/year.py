"""
A laboratory that lives through a year: working days, nights and weekends, and what only time brings.

Time in which nothing can happen costs nothing. A server's maintenance comes four times in a lease while a job waits or
runs, and every hour otherwise; a worker that found nothing asks again in half an hour, or a second or two after
a job became ready, which leaves out the questions that would have found nothing.
"""

import gc
import os
import sys
from contextlib import contextmanager
from datetime import timedelta
from unittest.mock import patch

from tests.simulation.archive import Archive
from tests.simulation.calendar import DAY, HOUR
from tests.simulation.conditions import CHANCES, Conditions
from tests.simulation.growth import Growth
from tests.simulation.ledger import ViolationError
from tests.simulation.staff import FORMER_SECRET_DAYS, Staff
from tests.simulation.versions import OF_SERVERS, Version
from tests.simulation.world import World
from xfworker.adapters.authenticator.sealed_secrets import SealedAuthenticatorSecrets
from xfworker.adapters.jwt.secret_file import rotate, secrets_in
from xfworker.adapters.jwt.token_signer import JwtTokenSigner
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.errors import AuthenticationFailed
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.platform import Platform

DAYS_OF_A_YEAR = 365
CHANCES_OF_A_YEAR = {
    "request lost": 0.001,
    "request late": 0.0005,
    "request doubled": 0.002,
    "answer lost": 0.001,
    "server slow": 0.0005,
    "upload slow": 0.02,
    "server dies before commit": 0.0002,
    "server dies after commit": 0.0002,
    "disk full": 0.0005,
    "power cut": 0.0005,
    "process killed": 0.0002,
    "script crash": 0.004,
    "script lingers": 0.01,
    "script hands over": 0.004,
    "slow install": 0.01,
    "orphan": 0.5,
    "worker suspended": 0.01,
    "worker dies": 0.003,
    "worker dropped": 0.005,
    "worker partitioned": 0.003,
    "worker unanswered": 0.003,
    "one link partitioned": 0.003,
    "worker clock set": 0.001,
    "server suspended": 0.002,
    "server restarts": 0.003,
    "server clock set": 0.0005,
    "person aborts": 0.05,
    "person restarts": 0.05,
    "job run by hand": 0.0,
}
ACTIVITY_DAYS = 60
"""How long events of the activity log are kept."""
_LONG_JOBS = 0.004
_LONG_SECONDS = 12 * HOUR
_IDLE_SECONDS = 1800.0
_BUSY_IDLE_SECONDS = 20.0
_MAINTENANCE_SECONDS = 30.0
_IDLE_MAINTENANCE_SECONDS = HOUR
_MOVING = JobState.READY, JobState.RUNNING


class Year(World):
    """One laboratory, for 365 days, or for fewer."""

    @property
    def rest_seconds(self):
        """When the year is over at the latest."""
        return (self.days + 10) * DAY

    def __init__(self, seed, folder, *, only=None, runs=None, days=DAYS_OF_A_YEAR):
        self.days = days
        super().__init__(seed, folder, only=only, runs=runs)
        self.secret_path = folder / "data" / "secret"
        self.secret_path.parent.mkdir()
        secrets_in(self.secret_path)
        self.archive = Archive(self)
        self.growth = Growth(self)
        self.worker_tokens = {}
        self.directories = {}
        self.stopped = set()
        self.upgraded_at = 0.0
        self._is_busy = False
        self._maintenance_turns = {}

    # --- what a year chooses ------------------------------------------------------------------------------------------

    def _conditions(self):
        luck = self.luck
        return Conditions(
            name="year",
            runs=0,
            run_seconds=0.0,
            servers=luck.choice("servers", [1, 1, 2]),
            workers=luck.choice("workers", [2, 3]),
            concurrency=2,
            work_seconds=luck.choice("work seconds", [10.0, 30.0]),
            lease_seconds=120.0,
            idle_seconds=_IDLE_SECONDS,
            look_seconds=30.0,
            trouble_seconds=HOUR,
            whole_scripts=0.2,
            names="own",
            messages=False,
            files_on_disk=True,
            chances={what: CHANCES_OF_A_YEAR[what] for what in CHANCES},
        )

    def _options(self):
        return PlatformOptions(
            lease_seconds=self.conditions.lease_seconds,
            max_attempts=3,
            activity_days=ACTIVITY_DAYS,
            worker_silent_seconds=2 * _IDLE_SECONDS,
            files_may_wait=self.luck.switched_on("files may wait"),
        )

    def _shares_files(self):
        # A restored backup takes files away that scripts are about to open in place.
        return False

    def _people_of(self):
        return Staff(self)

    def _platform(self, host):
        kept = secrets_in(self.secret_path)
        former = [(one.secret, one.until) for one in kept.former]
        return Platform(
            self.records,
            host.clock(),
            JwtTokenSigner(kept.current, host.clock(), former=former),
            self.options,
            hasher=self._people.hasher,
            authenticators=SealedAuthenticatorSecrets(kept.current, former=kept.opening),
            files=self.files,
        )

    def _bearer_of(self, host):
        return self.worker_tokens[int(host.name.split()[-1])]

    def work_seconds_of(self, job_serial):
        """Some jobs take the day, or the night."""
        is_long = self.luck.number(f"long job {job_serial}") < _LONG_JOBS
        return _LONG_SECONDS if is_long else self.conditions.work_seconds

    def _sends_messages(self, host):
        machine = host if host.parent is None else host.parent
        return machine.version is not Version.THIS

    def _next_version(self, name, versions):
        """Processes are upgraded, or taken back to what they were, every few weeks."""
        if self.luck.ended or self.timeline.now < self.upgraded_at:
            return Version.THIS
        if versions is OF_SERVERS:
            self.upgraded_at = self.timeline.now + self.luck.between(f"{name}/next upgrade", 10 * DAY, 30 * DAY)
        return self.luck.choice(f"{name}/version", versions)

    # --- time ---------------------------------------------------------------------------------------------------------

    def _committed(self, records):
        super()._committed(records)
        moved = [record for record in records if isinstance(record, Job) and record.state in _MOVING]
        if moved and not self._is_busy:
            self._is_busy = True
            for server in list(self.servers):
                self.timeline.call(0.0, lambda server=server: self._maintain(server))
        if any(job.state is JobState.READY for job in moved):
            for number, worker in self.workers.items():
                worker.loop.idle_seconds = _BUSY_IDLE_SECONDS
                wait = self.luck.between(f"worker {number}/asks", 0.2, 2.0)
                self.timeline.call(wait, lambda worker=worker: self._wake(worker))

    @staticmethod
    def _wake(worker):
        if not worker.host.dead:
            worker.loop._changed.set()  # noqa: SLF001  as if it had waited for so long

    def _look_whether_busy(self):
        ready, running = (self.records.matching(Job, state=state) for state in _MOVING)
        self._is_busy = bool(ready or running or self._leases())
        # Whoever waits for a job is woken when one becomes ready.
        if not ready:
            for worker in self.workers.values():
                worker.loop.idle_seconds = _IDLE_SECONDS

    def _maintain(self, server, turn=None):
        # The last one to be asked for counts; others are left out.
        if server.host.dead or (turn is not None and turn != self._maintenance_turns.get(server)):
            return
        turn = self._maintenance_turns[server] = self._maintenance_turns.get(server, 0) + 1
        wait = self._maintained(server)
        if wait is None:
            return
        self._look_whether_busy()
        if server.answers:
            wait = _MAINTENANCE_SECONDS if self._is_busy else _IDLE_MAINTENANCE_SECONDS
        self.timeline.call(wait, lambda: self._maintain(server, turn))

    def _trouble(self):
        # At the end of a month nothing goes wrong, and in the year all the same.
        self.trouble.strike()
        self.timeline.call(self.conditions.trouble_seconds, self._trouble)

    def calm(self, *, for_good=True):
        """From now on nothing goes wrong any more, for good or until the month has ended."""
        if for_good:
            super().calm()
        self.luck.ended = True
        self.partitions.clear()
        self.unanswered.clear()
        self.restart_the_dead()
        for worker in self.workers.values():
            # Jobs that need cores wait for a worker that offers some.
            if worker.host.version is Version.OLDER:
                worker.host.version = Version.THIS

    # --- computers ----------------------------------------------------------------------------------------------------

    def start_worker(self, number):
        """Start a worker, unless somebody switched its computer off, or it has a token that is not taken."""
        if number in self.stopped or number not in self.worker_tokens:
            return
        super().start_worker(number)

    def _run_worker(self, number, work):
        try:
            work.run()
        except AuthenticationFailed:
            # It stays so until it is given another one.
            self.worker_tokens.pop(number, None)
        else:
            self.timeline.call(5.0, lambda: self.start_worker(number))

    def _old_directories(self, number):
        now = self.timeline.now
        paths = sorted((self.folder / f"worker-{number}").iterdir())
        return [(path, now - self.directories.setdefault(path, now)) for path in paths]

    def switch_off(self, number, how):
        """Switch a worker's computer off: in order, with its jobs given back, or by its switch."""
        worker = self.workers.get(number)
        if worker is None or worker.host.dead or worker.host.resumes_at > self.timeline.now:
            return
        self.stopped.add(number)
        if how == "by its switch":
            self.luck.disturb(DAY)
            worker.host.kill()
            worker.runner.switched_off()
            worker.runner = None
        elif how == "dropped":
            worker.loop.drop()
        else:
            worker.loop.stop()

    def switch_on(self, number):
        worker = self.workers.get(number)
        if number in self.stopped and (worker is None or not worker.host.tasks):
            self.stopped.discard(number)
            self.start_worker(number)

    def replace_worker(self, number, token):
        """Give a worker another token and start it anew."""
        self.worker_tokens[number] = token
        worker = self.workers.get(number)
        if worker is not None and not worker.host.dead:
            self.luck.disturb(DAY)
            worker.host.kill()
            self.restart_the_dead()
        elif number not in self.stopped:
            self.timeline.call(5.0, lambda: self.start_worker(number))

    def send_away(self, number, seconds):
        """A computer is carried off, suspended, with whatever runs on it."""
        worker = self.workers.get(number)
        if worker is not None and not worker.host.dead and worker.host.resumes_at <= self.timeline.now:
            self.luck.disturb(seconds)
            worker.host.suspend(seconds, counted=self.luck.switched_on("counted sleep"))

    def rotate_secret(self):
        """Make another secret that signs tokens; what the former one signed is good for 30 days more."""
        with patch.object(os, "fsync", lambda _: None):  # it is not on the disk of the files
            now = self._people.host.clock().now()
            rotate(self.secret_path, now=now, former_until=now + timedelta(days=FORMER_SECRET_DAYS))
        for server in list(self.servers):
            self.server_died(server)

    @contextmanager
    def nothing_goes_wrong(self):
        """Let nothing go wrong meanwhile."""
        ended, self.luck.ended = self.luck.ended, True
        try:
            yield
        finally:
            self.luck.ended = ended

    def server_clocks_right(self):
        """The time server sets right whatever was set."""
        if self.server_step:
            self.server_step = 0.0
            self.luck.disturb(DAY)
            for server in self.servers:
                server.host.step_seconds = 0.0

    def _leases(self):
        return self.records.all_of(JobLease)

    def server_time(self):
        """Give what time servers say it is."""
        return self._people.host.clock().now() + timedelta(seconds=self.server_step)

    def check(self, holds):
        """Note what must hold and does not."""
        try:
            holds()
        except ViolationError as error:
            self.violations.append(str(error))

    def is_away(self, number):
        """Return whether a worker's computer is suspended."""
        worker = self.workers.get(number)
        return worker is not None and worker.host.resumes_at > self.timeline.now

    def month_ends(self):
        """Look what has grown, and free the memory of what has ended: collection is off while a story is played."""
        self.check(self.growth.look)
        gc.collect()

    def forget_old_messages(self):
        """What scripts said is deleted some day."""
        since = self.timeline.now - (ACTIVITY_DAYS - 10) * DAY
        self.logged = {title: at for title, at in self.logged.items() if at >= since}

    def working_directories(self):
        """Give the directories of jobs of the workers that are at work, and the seconds since they were first seen."""
        # One that comes back looks for old ones within the hour.
        since = self.timeline.now - 3 * HOUR
        workers = self.workers.items()
        at_work = [number for number, worker in workers if worker.host.tasks and worker.host.resumes_at < since]
        return [found for number in at_work for found in self._old_directories(number)]

    def unfinished_uploads(self):
        """Give what has arrived of uploads by now, and the seconds since it did, after a request of any kind."""
        for uploads in self.uploads.values():
            uploads.sweep_now_and_then()
        private, now = self.files.layout.private, self.timeline.now
        folders = private / "uploads", private / "incoming"
        names = sorted(path.name for folder in folders if folder.is_dir() for path in folder.iterdir())
        return [(name, now - self.uploaded_at.setdefault(name, now)) for name in names]


class WatchedYear(Year):
    """A year that says at the end of each month how far it is."""

    def month_ends(self):
        super().month_ends()
        day, attempts, misfortunes = self.timeline.now / DAY, self.ledger.ended, len(self.luck.happened)
        sys.stderr.write(
            f"seed {self.luck.seed}: day {day:.0f} of {self.days}, {attempts} attempts, {misfortunes} misfortunes\n"
        )
