"""What each script's own Python process has alone, for a facade that many scripts of the simulation share."""

from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from attrs import define, field

from tests.simulation.threads import Queues, Threads
from xfworker.api.facade import exception_hook, job_context
from xfworker.services.script import progress
from xfworker.services.transfers import side_by_side


@define(eq=False)
class Interpreter:
    """
    One script's process as Python's own modules show it.

    Attributes:
        excepthook: Called with an exception that nobody caught.
        thread_excepthook: The same, of a thread.
        log: What was written to standard error.
    """

    excepthook: object = None
    thread_excepthook: object = None
    log: list[str] = field(factory=list)

    def write(self, text):
        self.log.append(text)


class _Sys:
    """Stands in for the module ``sys`` of whichever script asks."""

    def __init__(self, timeline):
        self._timeline = timeline
        self.modules = {}

    def _own(self):
        return self._timeline.current.host.interpreter

    @staticmethod
    def __excepthook__(kind, error, _):
        raise AssertionError(f"a script ended by an error that is not the project's: {kind.__name__}: {error}")

    @property
    def excepthook(self):
        return self._own().excepthook or self.__excepthook__

    @excepthook.setter
    def excepthook(self, hook):
        self._own().excepthook = hook

    @property
    def stderr(self):
        return self._own()


class _ScriptThreads(Threads):
    """Stands in for the module ``threading`` of whichever script asks."""

    __excepthook__ = None

    @property
    def excepthook(self):
        return self._timeline.current.host.interpreter.thread_excepthook

    @excepthook.setter
    def excepthook(self, hook):
        self._timeline.current.host.interpreter.thread_excepthook = hook


@contextmanager
def interpreters(timeline):
    """Let every script find its own process's hooks, standard error, locks and timers."""
    own, threads = _Sys(timeline), _ScriptThreads(timeline)
    with ExitStack() as stack:
        for module in (exception_hook, job_context):
            stack.enter_context(patch.object(module, "sys", own))
        for module in (exception_hook, job_context, progress, side_by_side):
            stack.enter_context(patch.object(module, "threading", threads))
        stack.enter_context(patch.object(side_by_side, "queue", Queues(timeline)))
        # No script here forks; what is registered for forks stays for as long as the real process does.
        stack.enter_context(patch.object(job_context, "_fork_between_uses", lambda _: None))
        yield own


def exit_code_of(own, script):
    """Run a script as Python runs its main module, and give the exit code."""
    try:
        script()
    except SystemExit as ending:
        return 0 if ending.code is None else int(ending.code)
    except Exception as error:  # noqa: BLE001  as the interpreter does it
        own.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0
