"""Exceptions of notebook cells, as IPython reports cells that have run."""

import sys
from types import SimpleNamespace

import pytest

from xfworker.api.facade.exception_hook import ExceptionHook


class Shell:
    """What IPython offers: events to which functions are registered, and cells that raise them."""

    def __init__(self):
        self.registered = []
        self.events = SimpleNamespace(
            register=lambda event, function: self.registered.append((event, function)),
            unregister=lambda event, function: self.registered.remove((event, function)),
        )

    def run_cell(self, error=None, *, before=None):
        for _, function in list(self.registered):
            function(SimpleNamespace(error_before_exec=before, error_in_exec=error))


@pytest.fixture
def shell(monkeypatch):
    shell = Shell()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    return shell


@pytest.fixture
def hook():
    reports = []
    hook = ExceptionHook(reports.append)
    yield hook, reports
    hook.remove()


def test_an_exception_in_a_cell_reaches_the_job_and_later_cells_run_on(shell, hook):
    installed, reports = hook
    installed.install()
    installed.install()
    assert [event for event, _ in shell.registered] == ["post_run_cell"]
    shell.run_cell(ValueError("no voxels"))
    shell.run_cell()
    shell.run_cell(before=SyntaxError("invalid syntax"))
    assert reports == ["ValueError: no voxels", "SyntaxError: invalid syntax"]


def test_a_cell_that_a_person_interrupts_is_no_failure_of_the_job(shell, hook):
    installed, reports = hook
    installed.install()
    shell.run_cell(KeyboardInterrupt())
    assert reports == []


def test_a_second_job_in_a_notebook_takes_over_from_the_first(shell, hook):
    first, first_reports = hook
    second_reports = []
    second = ExceptionHook(second_reports.append)
    first.install()
    second.install()
    shell.run_cell(ValueError("late"))
    assert (first_reports, second_reports) == ([], ["ValueError: late"])
    second.remove()
    assert shell.registered == []


def test_without_ipython_there_are_no_cells(monkeypatch, hook):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    hook[0].install()
    assert sys.excepthook == hook[0].uncaught
