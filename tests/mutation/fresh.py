"""Runs tests with one changed module, which is imported anew: ``python -m tests.mutation.fresh FILE NUMBER TESTS``."""

import ast
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_loader
from pathlib import Path

import pytest

from tests.mutation.mutants import compiled, mutants

NOT_USED = 99
"""The exit status where the tests did not import the changed module."""
IN_MEMORY = ("-k", "not sqlite")
"""The words for pytest that leave out a test's slower form over a database file, where it has one in memory."""


class _Changed(SourceFileLoader):
    is_used = False

    def get_code(self, _fullname):
        _Changed.is_used = True
        tree = ast.parse(Path(self.path).read_text("utf-8"))
        return compiled(tree, mutants(tree)[self.number], self.path)


class _Finder(MetaPathFinder):
    def __init__(self, path, number):
        self.name = ".".join(path.with_suffix("").parts)
        self.path, self.number = path.absolute(), number

    def find_spec(self, fullname, _path=None, _target=None):
        if fullname != self.name:
            return None
        loader = _Changed(fullname, str(self.path))
        loader.number = self.number
        return spec_from_loader(fullname, loader)


if __name__ == "__main__":
    sys.meta_path.insert(0, _Finder(Path(sys.argv[1]), int(sys.argv[2])))
    # What pytest rewrites, for better messages of assertions, would not be the changed module.
    words = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--assert=plain", *IN_MEMORY]
    status = pytest.main([*words, *sys.argv[3:]])
    sys.exit(status if _Changed.is_used else NOT_USED)
