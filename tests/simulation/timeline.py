"""Simulated time: tasks that take turns in one thread, on hosts that can be suspended and killed, with their clocks."""

import heapq
import itertools
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import greenlet
from attrs import define, field

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """The process that this task is a part of has ended; nothing that it still tries has an effect."""


@define(eq=False)
class Host:
    """One process with its clock: it may be suspended, its time of day may be set, and it may be killed."""

    timeline: "Timeline"
    name: str
    parent: "Host | None" = None
    suspended_until: float = 0.0
    step_seconds: float = 0.0
    lost_seconds: float = 0.0
    dead: bool = False
    version: object = None
    interpreter: object = None
    tasks: list = field(factory=list)

    @property
    def resumes_at(self):
        own, parent = self.suspended_until, self.parent
        return own if parent is None or parent.suspended_until < own else parent.suspended_until

    def require_alive(self):
        if self.dead:
            raise Killed

    def suspend(self, seconds, *, counted):
        """Let nothing happen here for a while; ``counted`` says whether monotonic time goes on meanwhile."""
        self.suspended_until = self.timeline.now + seconds
        self.lost_seconds += 0.0 if counted else seconds

    def kill(self):
        """End every task; those of the host that is running now end at their next step."""
        self.dead = True
        self.timeline.call(0.0, self._reap)

    def _reap(self):
        for task in list(self.tasks):
            task.end()

    def clock(self):
        return HostClock(self)


@define(eq=False)
class HostClock:
    """The clock port, as one host has it: a script's process has its machine's clock."""

    host: Host
    machine: Host = field(init=False)

    @machine.default
    def _machine(self):
        return self.host if self.host.parent is None else self.host.parent

    def now(self):
        return _EPOCH + timedelta(seconds=self.host.timeline.now + self.machine.step_seconds)

    def monotonic(self):
        return self.host.timeline.now - self.machine.lost_seconds

    def sleep(self, seconds):
        self.host.require_alive()
        self.host.timeline.sleep(seconds)


@define(eq=False)
class Task:
    host: Host
    name: str
    greenlet: greenlet.greenlet
    turn: int = 0
    ended: bool = False

    def end(self):
        if not self.ended and self.greenlet:
            self.host.timeline.current = self
            self.greenlet.throw(Killed)
            self.host.timeline.current = None


class Timeline:
    """What happens when. Everything that waits is a greenlet, and the one that is due next goes on."""

    def __init__(self):
        self.now = 0.0
        self.current = None
        self.failures = []
        self._hub = greenlet.getcurrent()
        self._due = []
        self._until = 0.0
        self._numbers = itertools.count()

    def call(self, seconds, work):
        """Have something called later, between the turns of the tasks; it must not wait."""
        at = self.now + seconds if seconds > 0.0 else self.now
        heapq.heappush(self._due, (at, next(self._numbers), None, 0, work))

    def spawn(self, host, work, name):
        """Begin a task on a host."""
        task = Task(host, name, None)

        def run():
            try:
                host.require_alive()
                work()
            except Killed:
                if not host.dead:
                    self.failures.append(f"{name}: killed although its host lives")
            except Exception as error:  # noqa: BLE001  whatever comes out of a task is what the simulation is about
                self.failures.append(f"{name} ended by {type(error).__name__}: {error}")
            finally:
                task.ended = True
                with suppress(ValueError):
                    host.tasks.remove(task)

        task.greenlet = greenlet.greenlet(run, self._hub)
        host.tasks.append(task)
        self.wake(task, 0.0)
        return task

    def wake(self, task, seconds):
        at = self.now + seconds if seconds > 0.0 else self.now
        heapq.heappush(self._due, (at, next(self._numbers), task, task.turn, None))

    def sleep(self, seconds):
        if not self.pass_alone(seconds):
            self.wake(self.current, seconds)
            self.switch_to_next()

    def pass_alone(self, seconds):
        """Let time pass for the current task where nothing else is due until then; return whether it did."""
        at = self.now + seconds if seconds > 0.0 else self.now
        due = self._due
        if at > self._until or (due and due[0][0] <= at):
            return False
        task = self.current
        host = task.host
        if host.dead or host.resumes_at > at:
            return False
        self.now = at
        task.turn += 1
        return True

    def switch_to_next(self):
        task = self.current
        try:
            self._hub.switch()
        finally:
            task.turn += 1
        task.host.require_alive()

    def run(self, until, stop=lambda: False):
        """Go on until a time, or until ``stop`` says so."""
        self._until = until
        due = self._due
        while due and due[0][0] <= until and not stop():
            at, number, task, turn, work = heapq.heappop(due)
            if task is None:
                self.now = at
                work()
                continue
            if turn != task.turn or task.ended:
                continue
            resumes_at = task.host.resumes_at
            if resumes_at > at:
                heapq.heappush(due, (resumes_at, number, task, turn, work))
                continue
            self.now = at
            self._go_on(task)
        self.now = max(self.now, until) if not stop() else self.now

    def _go_on(self, task):
        self.current = task
        task.greenlet.switch()
        self.current = None
