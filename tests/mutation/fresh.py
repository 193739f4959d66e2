"""Runs tests with one changed module, in a process that was forked: what is of this repository is imported anew."""

import ast
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_loader
from pathlib import Path

import pytest
from _pytest.assertion.rewrite import AssertionRewritingHook

from tests.mutation.mutants import compiled, mutants

NOT_USED = 99
"""The exit status where the tests did not import the changed module."""
IN_MEMORY = ("-k", "not sqlite")
"""The words for pytest that leave out a test's slower form over a database file, where it has one in memory."""
_FIRST = 3


class SameExamples:
    """A plugin of pytest: a property is tried with the same examples each time, and the first that fails is enough."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self):
        # Not before pytest itself has, which rewrites its assertions.
        from hypothesis import Phase, settings

        settings.register_profile("mutation", derandomize=True, phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutation")


def run_anew(path, number, tests):
    """Forget the modules that were imported from this folder, run the tests with the changed one, and give a status."""
    here = str(Path.cwd())
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if name != "__main__" and file.startswith(here) and "site-packages" not in file:
            del sys.modules[name]
    sys.path_importer_cache.clear()
    finder = _Finder(path, number)
    # What pytest rewrites, for better messages of assertions, would not be the changed module.
    sys.meta_path[:] = [finder, *(each for each in sys.meta_path if not isinstance(each, AssertionRewritingHook))]
    words = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly", "--assert=plain", *IN_MEMORY]
    # One that fails is enough, and mostly the first do: the others are not even collected then.
    statuses = []
    for some in (tests[:_FIRST], tests[_FIRST:]):
        if some and not any(statuses):
            statuses.append(pytest.main([*words, *some], plugins=[SameExamples()]))
    return max(statuses) if finder.is_used else NOT_USED


class _Finder(MetaPathFinder):
    def __init__(self, path, number):
        self.name = ".".join(path.with_suffix("").parts)
        self.path, self.number, self.is_used = path.absolute(), number, False

    def find_spec(self, fullname, _path=None, _target=None):
        if fullname != self.name:
            return None
        return spec_from_loader(fullname, _Changed(fullname, self))


class _Changed(SourceFileLoader):
    def __init__(self, fullname, finder):
        super().__init__(fullname, str(finder.path))
        self.finder = finder

    def get_code(self, _fullname):
        self.finder.is_used = True
        tree = ast.parse(Path(self.path).read_text("utf-8"))
        return compiled(tree, mutants(tree)[self.finder.number], self.path)
