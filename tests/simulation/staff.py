"""What people do in a year: they come and go, work, close the month, renew tokens, delete what is old."""

import hashlib
from contextlib import suppress

import pyotp
from attrs import define, field

from tests.simulation.calendar import DAY, HOUR, is_monday, is_working, working_days
from tests.simulation.ledger import require
from tests.simulation.network import Wire
from tests.simulation.people import People
from tests.simulation.records import ServerDiedError
from tests.simulation.versions import Version
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.change import Change
from xfworker.domain.errors import AuthenticationFailed, ServerError, TooManyRequests, XFWorkerError
from xfworker.domain.job_state import JobState
from xfworker.domain.one_time_codes import time_step
from xfworker.domain.records import Job, Project, Run, Workflow

FORMER_SECRET_DAYS = 30
_NAME = "anna"
_PASSWORD = "four mice in a scanner"
_OWN_ADDRESS, _OTHER_ADDRESS = "192.0.2.1", "198.51.100.1"
_GUESSES = 30
_LONGEST_SIGN_IN_SECONDS = 1800.0
_WORKDAYS_OF_A_MONTH = 21
_LONGEST_CLOSING_DAYS = 35  # a computer is carried off for 30 at most
_ROTATION_DAYS = 60, 150, 240, 330


class QuickHasher:
    """Keeps passwords of simulated people."""

    def hash(self, password):
        return hashlib.sha256(password.encode()).hexdigest()

    def matches(self, password, hashed):
        return self.hash(password) == hashed


@define(eq=False)
class Staff(People):
    """The people of a laboratory, with one account among them."""

    hasher: QuickHasher = field(factory=QuickHasher)
    _account: int = 0
    _project: int = 0
    _secret: str = ""
    _session: str = ""
    _workflow: int = 0
    _runs: list = field(factory=list)
    _renewals: dict = field(factory=dict)
    _restore_day: int = -1

    def set_up(self, platform):
        """Make accounts, tokens, the project and its first workflow, and give its serial."""
        world = self.world
        self.host.version = Version.THIS
        self._workflow = super().set_up(platform)
        [project] = world.records.all_of(Project)
        self._project = project.serial
        accounts = platform.accounts_for(platform.authenticate(self.bearer))
        self._account = accounts.add(_NAME, _PASSWORD).serial
        accounts.share(self._project, self._account)
        principal = platform.authenticate(accounts.log_in(_NAME, _PASSWORD, address=_OWN_ADDRESS).text)
        factors = platform.second_factors_for(principal)
        self._secret = factors.begin(self._account, _PASSWORD).secret
        factors.confirm(self._account, self._code(platform))
        for number in range(1, 1 + world.conditions.workers):
            world.worker_tokens[number] = accounts.add_worker_token(f"worker {number}").text
        # There is a backup of the same morning.
        mondays = [day for day in range(world.days // 4, world.days * 4 // 5) if is_monday(day)]
        if mondays:
            self._restore_day = world.luck.choice("restored on", mondays)
        return self._workflow

    def begin(self, workflow):
        """Begin the year; what is given has ended when it is over."""
        world = self.world
        world.timeline.spawn(self.host, self._work_by_hand, "person by hand")
        return world.timeline.spawn(self.host, self._year, "person")

    def _year(self):
        days = working_days(self.world.days)
        closing = {*days[_WORKDAYS_OF_A_MONTH - 1 :: _WORKDAYS_OF_A_MONTH], days[-1]}
        for day in range(self.world.days):
            if is_monday(day):
                self._until(day, 3.0)  # in the night from Sunday to Monday
                self.world.archive.make()
            if is_working(day):
                self._day(day)
            if day in closing:
                self._close_month(is_last=day == days[-1])

    def _until(self, day, hour):
        self.host.clock().sleep(max(day * DAY + hour * HOUR - self.world.timeline.now, 0.0))

    def _day(self, day):
        world, luck = self.world, self.world.luck
        self._until(day, 7.0)
        world.server_clocks_right()
        if luck.strikes("person/stranger", 0.05):
            self._at_a_server(self._guess)
        self._sign_in()
        self._look_after_tokens(day)
        for number in range(1, 1 + world.conditions.workers):
            world.switch_on(number)
        starts = sorted(luck.between("start of a run", 8.0, 15.5) for _ in range(luck.choice("runs", [2, 2, 3, 3])))
        if day == self._restore_day:
            self._start_run()
            self._start_run()
            self.host.clock().sleep(luck.between("restored after", 5.0, 60.0))
            self._restore()
        for hour in starts:
            self._until(day, hour)
            self._start_run()
            with suppress(XFWorkerError):
                self._meddle()
            self._carry_off(hour)
        self._until(day, 18.5)
        # Nobody switches the first one off.
        for number in range(2, 1 + world.conditions.workers):
            world.switch_off(number, luck.choice("how", ["in order", "in order", "dropped", "by its switch"]))

    def _start_run(self):
        with suppress(XFWorkerError):
            run = self._control.start_run(self._workflow).serial
            self.world.acknowledged_runs.add(run)
            self._runs.append(run)

    def _meddle(self):
        luck, chances = self.world.luck, self.world.chances
        if not self._runs:
            return
        job = luck.choice("which job", self._server.find(Job, {"run_serial": luck.choice("which run", self._runs)}))
        if luck.strikes("person aborts", chances["person aborts"]):
            self._control.abort_job(job.serial)
        if luck.strikes("person restarts", chances["person restarts"]):
            self._restart(job.serial)

    def _carry_off(self, hour):
        """Now and then a computer goes away for weeks, with what runs on it."""
        world, luck = self.world, self.world.luck
        if world.timeline.now < (world.days - 40) * DAY and luck.strikes("worker/carried off", 0.01):
            number = 1 + int(luck.between("which worker", 0, world.conditions.workers))
            self.host.clock().sleep(luck.between("carried off after", 1.0, 60.0))
            world.send_away(number, luck.between("how long away", 3 * DAY, 30 * DAY) - hour)

    # --- accounts and tokens ----------------------------------------------------------------------------------------

    def _at_a_server(self, ask):
        """Ask a server by something that may be asked twice, until one answers."""
        world, clock = self.world, self.host.clock()
        while True:
            server = world.server_for(None)
            if server is not None:
                try:
                    return ask(server.platform)
                except ServerDiedError:
                    world.server_died(server)
                except TooManyRequests:
                    raise
                except ServerError:
                    pass
            clock.sleep(10.0)

    def _code(self, platform):
        return pyotp.HOTP(self._secret).at(time_step(platform.clock.now().timestamp()))

    def _guess(self, platform):
        """Somebody who is not let in tries passwords."""
        for number in range(_GUESSES):
            name = _NAME if number % 2 else f"user{number}"
            with suppress(AuthenticationFailed, TooManyRequests):
                platform.signing_in().by_password(name, f"guess {number}", None, address=_OTHER_ADDRESS)

    def _sign_in(self):
        """Sign in, at times with some tries; nobody is kept out for longer than the throttle says."""
        world, luck, clock = self.world, self.world.luck, self.host.clock()
        wrong = int(luck.between("person/tries", 1, 14)) if luck.strikes("person/mistypes", 0.05) else 0
        began = world.timeline.now
        while True:
            passed = world.timeline.now - began
            world.check(lambda passed=passed: require(passed < _LONGEST_SIGN_IN_SECONDS, "somebody was kept out"))
            try:
                self._session = self._at_a_server(
                    lambda platform, right=wrong <= 0: self._signed_in(platform, is_right=right)
                )
            except TooManyRequests as error:
                clock.sleep(error.retry_after_seconds)
            except AuthenticationFailed:
                wrong -= 1
                clock.sleep(31.0)  # for the next code
            else:
                break
        self.host.version = luck.choice("person/version", (Version.THIS, Version.THIS, Version.NEWER))
        clients = world.clients(Wire(world, self.host), self._session)
        self._server, self._control = clients.server, clients.control

    def _signed_in(self, platform, *, is_right):
        password = _PASSWORD if is_right else "four mice in a scaner"
        return platform.signing_in().by_password(_NAME, password, self._code(platform), address=_OWN_ADDRESS).text

    def _look_after_tokens(self, day):
        """Rotate the secret a few times a year, and give workers tokens of the new one, some of them too late."""
        world, luck = self.world, self.world.luck
        if day in _ROTATION_DAYS or (day - 1 in _ROTATION_DAYS and not is_working(day - 1)):
            world.rotate_secret()
            for number in range(1, 1 + world.conditions.workers):
                self._renewals[number] = day + luck.between(f"worker {number}/renewed after", 1, 40)
        for number in range(1, 1 + world.conditions.workers):
            is_due = self._renewals.get(number, day + 1) <= day and not world.is_away(number)
            if is_due or number not in world.worker_tokens:
                self._renewals.pop(number, None)
                world.replace_worker(number, self._at_a_server(lambda platform, n=number: self._new_token(platform, n)))
        if is_monday(day):
            self._at_a_server(self._program_token)

    def _new_token(self, platform, number):
        """Revoke a worker's token and make another."""
        accounts = platform.accounts_for(platform.authenticate(platform.admin_token()))
        for token in accounts.tokens(0):
            if token.name == f"worker {number}":
                accounts.revoke(token.serial)
        return accounts.add_worker_token(f"worker {number}").text

    def _program_token(self, platform):
        """Make a token for a program that runs this week."""
        platform.accounts_for(platform.authenticate(self._session)).add_token(self._account, "notebook", days=5)

    def _restore(self):
        """Somebody brings back the last backup, and people begin again what was lost."""
        self.world.archive.restore()
        self._workflow = max(self.world.workflows)
        self._runs = sorted(self.world.acknowledged_runs)[-10:]
        self._sign_in()
        self._start_run()
        self._start_run()

    # --- the end of a month -----------------------------------------------------------------------------------------

    def _close_month(self, *, is_last):
        """Wait until all has come to rest, look whether all is right, begin another workflow, and delete the oldest."""
        world, clock = self.world, self.host.clock()
        world.calm(for_good=is_last)
        began = world.timeline.now
        while True:
            clock.sleep(60.0)
            self._bring_workers_back()
            jobs = world.records.matching(Job, workflow_serial=self._workflow)
            for job in jobs:
                if job.state in (JobState.FAILED, JobState.ABORTED):
                    self._restart(job.serial)
            if all(job.state is JobState.DONE for job in jobs) and not world.records.all_of(JobLease):
                break
            if world.timeline.now > began + _LONGEST_CLOSING_DAYS * DAY:
                waiting = [f"{job} is {job.state}" for job in jobs if job.state is not JobState.DONE]
                world.violations.append(f"a month cannot be closed: {'; '.join(waiting) or 'leases are left'}")
                return
        world.forget_old_messages()
        world.check(lambda: world.ledger.workflow_at_rest(self._workflow))
        world.month_ends()
        if is_last:
            return
        self._sign_in()
        self._workflow = self._at_a_server(self._next_workflow)
        self._runs.clear()
        world.luck.ended = False
        for old in sorted(world.workflows)[:-2]:
            self._at_a_server(lambda platform, old=old: self._delete(platform, old))
            del world.workflows[old]

    def _bring_workers_back(self):
        """Switch on what is off, and give a token to what has none."""
        world = self.world
        for number in range(1, 1 + world.conditions.workers):
            world.switch_on(number)
            if number not in world.worker_tokens:
                world.replace_worker(number, self._at_a_server(lambda platform, n=number: self._new_token(platform, n)))

    def _next_workflow(self, platform):
        server = platform.server_for(platform.authenticate(platform.admin_token()))
        return self.make_workflow(server, self._project)

    def _delete(self, platform, workflow):
        """Delete the files of all that was done in a workflow."""
        principal = platform.authenticate(self._session)
        platform.server_for(principal).update(Workflow, workflow, Change(values={"/obsolete": True}))
        runs = [run.serial for run in self.world.records.matching(Run, workflow_serial=workflow)]
        with self.world.growth.deletion():
            platform.file_deletion_for(principal).delete(runs, [workflow])

    def _work_by_hand(self):
        clock = self.host.clock()
        while True:
            clock.sleep(self.world.luck.between("by hand", 300.0, 900.0))
            if self._server is not None:
                self._do_what_waits()
