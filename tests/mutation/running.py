"""
Runs the tests against each mutant of some files, in processes that are forked once all tests are collected.

A mutant inside a function takes the place of that function's code, so that nothing is imported anew; one outside of all
functions, or on a line that runs only while the module is imported, needs a process of its own, where the changed
module is imported. Only the tests that reach a line are run against a change of it, the quick ones first; all of them
are played once before, unchanged and with nothing cached, to see what each reaches.
"""

import ast
import gc
import inspect
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType

import psutil
import pytest
from attrs import define, field

from tests.mutation.fresh import NOT_USED, run_anew
from tests.mutation.mutants import compiled, mutants

_CACHED = type(cache(len))
KILLED, SURVIVED = "killed", "survived"
_CPU_SECONDS = 5
_SECONDS_TO_IMPORT = 20
_IDLE_SECONDS, _IDLE_CPU_SECONDS = 60, 0.5
"""What computes no longer than that in so long waits for ever; on a busy machine, time alone would say nothing."""
_MOST_MEMORY = 2 << 30


@define(eq=False, slots=False)
class MutationRun:
    """A plugin of pytest: it runs the collected tests against every mutant, in place of the tests themselves."""

    paths: list[Path]
    paths_of_tests: list
    jobs: int
    judge: Callable
    survivors: dict = field(factory=dict)
    verdicts: dict = field(factory=dict)
    found: dict = field(factory=dict)
    failure: str = ""
    has_failed: bool = False

    def pytest_runtestloop(self, session):
        if session.testsfailed:
            self.failure = "the tests could not be collected"
            return True
        self.trees = {path: ast.parse(path.read_text("utf-8")) for path in self.paths}
        self.found = {
            (path, number): mutant for path, tree in self.trees.items() for number, mutant in enumerate(mutants(tree))
        }
        self.caches = self._caches()
        self.reached, self.seconds = self._baseline(session.items)
        if self.failure:
            return True
        self.items = {item.nodeid: item for item in session.items}
        self.functions = self._live_functions()
        # What is there already is looked through by no child, whose pages stay shared with this process.
        gc.freeze()
        running = {}
        for path in self.paths:
            keys = [key for key in self.found if key[0] == path]
            for key in keys:
                if path in self.survivors and self.found[key].key not in self.survivors[path]:
                    self.verdicts[key] = (KILLED, "")
                    continue
                if len(running) >= self.jobs:
                    self._wait(running)
                pid = self._begin(key, self.found[key])
                running[pid] = Tried(key, psutil.Process(pid))
            while running:
                self._wait(running)
            if self.failure:
                return True
            self.judge(path, [(self.found[key], self.verdicts[key]) for key in keys])
        return True

    # --- which tests reach which line -------------------------------------------------------------------------------

    def _baseline(self, items):
        """Run every test once, unchanged, and note which lines of the files each reaches."""
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "reached"
            pid = os.fork()
            if pid == 0:
                # Under the limit of the mutants: a test that needs more would fail for each of them.
                _child(lambda: _within_memory(lambda: self._trace(items, result)))
            os.waitpid(pid, 0)
            if not result.exists():
                failed = result.with_name("failed")
                name = failed.read_text("utf-8") if failed.exists() else "a test"
                self.failure = f"{name} fails without any change"
                return {}, {}
            reached = json.loads(result.read_text())
        lines = {}
        for name, (places, _) in reached.items():
            for filename, line in places:
                lines.setdefault((Path(filename), line), []).append(name)
        seconds = {name: taken for name, (_, taken) in reached.items()}
        return lines, seconds

    def _trace(self, items, result):
        names, reached, lines = {str(path.absolute()): str(path) for path in self.paths}, {}, set()

        def in_file(frame, event, _):
            if event == "line":
                lines.add((frame.f_code.co_filename, frame.f_lineno))
            return in_file

        def anywhere(frame, _event, _argument):
            if frame.f_code.co_filename in names:
                lines.add((frame.f_code.co_filename, frame.f_lineno))
                return in_file
            return None

        threading.settrace(anywhere)
        for item, following in _with_next(items):
            lines.clear()
            for cached in self.caches:
                cached.cache_clear()
            began = time.process_time()
            sys.settrace(anywhere)
            passed = self._passes(item, following)
            sys.settrace(None)
            if not passed:
                result.with_name("failed").write_text(item.nodeid, "utf-8")
                return 1
            places = [(names[filename], line) for filename, line in sorted(lines)]
            reached[item.nodeid] = (places, time.process_time() - began)
        result.write_text(json.dumps(reached))
        return 0

    def _passes(self, item, following):
        self.has_failed = False
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        return not self.has_failed

    def pytest_runtest_logreport(self, report):
        self.has_failed |= report.failed

    # --- one mutant ---------------------------------------------------------------------------------------------------

    def _live_functions(self):
        names = {str(path.absolute()) for path in self.paths}
        functions = {}
        for thing in gc.get_objects():
            if isinstance(thing, FunctionType) and thing.__code__.co_filename in names:
                code = thing.__code__
                functions.setdefault((code.co_filename, code.co_qualname, code.co_firstlineno), []).append(thing)
        return functions

    def _caches(self):
        """List what keeps the results of the files' functions: what was called before would not be called again."""
        names = {str(path.absolute()) for path in self.paths}
        return [
            thing
            for thing in gc.get_objects()
            if type(thing) is _CACHED
            and isinstance(function := inspect.unwrap(thing), FunctionType)
            and function.__code__.co_filename in names
        ]

    def _begin(self, key, mutant):
        path, number = key
        names = self.reached.get((path, mutant.line), []) if mutant.function else []
        filename = str(path.absolute())
        parts = {}
        for part in _codes(compiled(self.trees[path], mutant, filename)):
            # What is inside of it may have been made before, as what a decorator gives.
            if part.co_qualname == mutant.function or part.co_qualname.startswith(f"{mutant.function}.<locals>."):
                parts.setdefault((filename, part.co_qualname, part.co_firstlineno), []).append(part)
        places = [(live, part) for place, [part, *_] in parts.items() for live in self.functions.get(place, [])]
        replaced = (
            bool(names)
            and any(live.__code__.co_qualname == mutant.function for live, _ in places)
            and all(part.co_freevars == live.__code__.co_freevars for live, part in places)
            and all(len(alike) == 1 or place not in self.functions for place, alike in parts.items())
        )
        if not replaced:
            limit = int(_CPU_SECONDS + _SECONDS_TO_IMPORT + 5 * sum(self.seconds.values()))

            def run_with_changed_module():
                resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 10))
                return run_anew(path, number, self._tests_near(path))

            return _forked(run_with_changed_module)
        items = [self.items[name] for name in sorted(names, key=self.seconds.get)]

        def run():
            for live, part in places:
                live.__code__ = part
            for cached in self.caches:
                cached.cache_clear()
            return 0 if all(self._passes_in_time(item, following) for item, following in _with_next(items)) else 1

        return _forked(run)

    def _passes_in_time(self, item, following):
        # Each test by itself: what loops for ever is ended soon, however many tests were to come.
        limit = int(time.process_time() + _CPU_SECONDS + 5 * self.seconds[item.nodeid])
        # The signal that comes first says why; what kills it without this one is not the mutant's.
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        return self._passes(item, following)

    def _tests_near(self, path):
        """List the files of tests that reach the changed one, the quick ones first; all where none does."""
        reaching = {name for (reached, _), names in self.reached.items() if reached == path for name in names}
        seconds = {}
        for name in reaching or self.seconds:
            file = name.partition("::")[0]
            seconds[file] = seconds.get(file, 0.0) + self.seconds[name]
        return sorted(seconds, key=seconds.get)

    def _wait(self, running):
        looked_at = time.monotonic()
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in running:
                tried = running.pop(pid)
                if reason := _why_not_tried(status, was_ended=tried.was_ended):
                    self.failure = f"{tried.key[0]}, {self.found[tried.key]}: {reason}"
                self.verdicts[tried.key] = (SURVIVED, "") if status == 0 else (KILLED, "")
                return
            if time.monotonic() - looked_at > 1.0:
                looked_at = time.monotonic()
                for each in running.values():
                    each.end_where_idle()
            time.sleep(0.01)


@define(eq=False)
class Tried:
    """A process that tries a mutant, with those that it began itself."""

    key: tuple
    process: psutil.Process
    seconds: float = 0.0
    seen_at: float = field(factory=time.monotonic)
    was_ended: bool = False

    def end_where_idle(self):
        processes = [self.process]
        with suppress(psutil.Error):
            processes += self.process.children(recursive=True)
        seconds = 0.0
        for process in processes:
            with suppress(psutil.Error):
                seconds += sum(process.cpu_times()[:2])
        now = time.monotonic()
        if seconds > self.seconds + _IDLE_CPU_SECONDS:
            self.seconds, self.seen_at = seconds, now
        elif now - self.seen_at > _IDLE_SECONDS:
            self.was_ended = True
            for process in reversed(processes):
                with suppress(psutil.Error):
                    process.kill()


def _why_not_tried(status, *, was_ended):
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == NOT_USED:
        return "the tests do not import the file where it was changed"
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == pytest.ExitCode.NO_TESTS_COLLECTED:
        return "no test was collected"
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and not was_ended:
        return "its process was killed by somebody else, perhaps for want of memory"
    return ""


def _with_next(items):
    return zip(items, [*items[1:], None], strict=True)


def _codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _forked(run):
    pid = os.fork()
    if pid == 0:
        _child(lambda: _within_memory(run))
    return pid


def _within_memory(run):
    # A loop that never ends and keeps what it makes fails by itself, before others lack memory for it.
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    return run()


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
