"""Modules that are imported when something in them is first used, because scripts should begin soon."""

import sys
from typing import Any


class DeferredModule:
    """Stands for a module of this package; type checkers are told of the module itself."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        __import__(self._name)
        return getattr(sys.modules[self._name], name)
