"""
Runs the tests against each mutant of a file, in processes that are forked once all tests are collected.

A mutant inside a function takes the place of that function's code, so that nothing is imported anew; one outside of all
functions needs a process of its own, where the changed module is imported. Only the tests that reach a line are run
against a change of it.
"""

import ast
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import CodeType, FunctionType

from _pytest.runner import runtestprotocol
from attrs import define, field

from tests.mutation.fresh import NOT_USED
from tests.mutation.mutants import compiled, mutants

KILLED, SURVIVED = "killed", "survived"
_CPU_SECONDS = 20
_WALL_SECONDS = 120


@define(eq=False, slots=False)
class MutationRun:
    """A plugin of pytest: it runs the collected tests against every mutant, in place of the tests themselves."""

    path: Path
    paths_of_tests: list
    jobs: int
    verdicts: dict = field(factory=dict)
    found: list = field(factory=list)
    failure: str = ""

    def pytest_runtestloop(self, session):
        if session.testsfailed:
            self.failure = "the tests could not be collected"
            return True
        self.tree = ast.parse(self.path.read_text("utf-8"))
        self.found = mutants(self.tree)
        self.reached, self.seconds = self._baseline(session.items)
        if self.failure:
            return True
        self.items = {item.nodeid: item for item in session.items}
        self.functions = self._live_functions()
        running = {}
        for number, mutant in enumerate(self.found):
            if len(running) >= self.jobs:
                self._wait(running)
            pid = self._begin(number, mutant)
            if pid is None:
                self.verdicts[number] = (SURVIVED, "no test reaches it")
            else:
                running[pid] = (number, time.monotonic())
        while running:
            self._wait(running)
        return True

    # --- which tests reach which line -------------------------------------------------------------------------------

    def _baseline(self, items):
        """Run every test once, unchanged, and note which lines of the file each reaches."""
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "reached"
            pid = os.fork()
            if pid == 0:
                _child(lambda: self._trace(items, result))
            os.waitpid(pid, 0)
            if not result.exists():
                self.failure = "the tests fail without any change"
                return {}, {}
            reached = json.loads(result.read_text())
        lines = {}
        for name, (numbers, _) in reached.items():
            for line in numbers:
                lines.setdefault(line, []).append(name)
        seconds = {name: taken for name, (_, taken) in reached.items()}
        return lines, seconds

    def _trace(self, items, result):
        filename, reached, lines = str(self.path.absolute()), {}, set()

        def in_file(frame, event, _):
            if event == "line":
                lines.add(frame.f_lineno)
            return in_file

        def anywhere(frame, _event, _argument):
            if frame.f_code.co_filename == filename:
                lines.add(frame.f_lineno)
                return in_file
            return None

        threading.settrace(anywhere)
        for item, following in zip(items, [*items[1:], None], strict=True):
            lines.clear()
            began = time.process_time()
            sys.settrace(anywhere)
            passed = _passes(item, following)
            sys.settrace(None)
            if not passed:
                return 1
            reached[item.nodeid] = (sorted(lines), time.process_time() - began)
        result.write_text(json.dumps(reached))
        return 0

    # --- one mutant ---------------------------------------------------------------------------------------------------

    def _live_functions(self):
        filename = str(self.path.absolute())
        functions = {}
        for thing in gc.get_objects():
            if isinstance(thing, FunctionType) and thing.__code__.co_filename == filename:
                functions.setdefault((thing.__code__.co_qualname, thing.__code__.co_firstlineno), []).append(thing)
        return functions

    def _begin(self, number, mutant):
        names = self.reached.get(mutant.line, []) if mutant.function else []
        if mutant.function and not names:
            return None
        code = compiled(self.tree, mutant, str(self.path.absolute()))
        places = [
            (live, part)
            for part in _codes(code)
            for live in self.functions.get((part.co_qualname, part.co_firstlineno), [])
            if part.co_qualname == mutant.function
        ]
        replaced = bool(places) and all(part.co_freevars == live.__code__.co_freevars for live, part in places)
        if not replaced:
            command = [sys.executable, "-m", "tests.mutation.fresh", str(self.path), str(number), *self.paths_of_tests]
            # Through a process that is forked as the others are, so that all are waited for in one way.
            return _forked(lambda: subprocess.run(command, check=False, timeout=_WALL_SECONDS).returncode)
        items = [self.items[name] for name in sorted(names, key=self.seconds.get)]

        def run():
            for live, part in places:
                live.__code__ = part
            limit = int(_CPU_SECONDS + 5 * sum(map(self.seconds.get, names)))
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
            passed = all(_passes(item, following) for item, following in zip(items, [*items[1:], None], strict=True))
            return 0 if passed else 1

        return _forked(run)

    def _wait(self, running):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in running:
                number, _ = running.pop(pid)
                if os.WIFEXITED(status) and os.WEXITSTATUS(status) == NOT_USED:
                    self.failure = f"the tests do not import the file where it was changed: {self.found[number]}"
                self.verdicts[number] = (SURVIVED, "") if status == 0 else (KILLED, "")
                return
            for late, (_, began) in list(running.items()):
                if time.monotonic() - began > 3 * _WALL_SECONDS:
                    os.kill(late, signal.SIGKILL)
            time.sleep(0.01)


def _passes(item, following):
    return not any(report.failed for report in runtestprotocol(item, nextitem=following, log=False))


def _codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _forked(run):
    pid = os.fork()
    if pid == 0:
        _child(run)
    return pid


def _child(run):
    """Run in this process, which was forked, and end it without what the parent does at its end."""
    status = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        status = run()
    finally:
        os._exit(status)
