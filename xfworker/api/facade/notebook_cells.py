"""Exceptions of notebook cells: IPython catches them itself, so ``sys.excepthook`` never sees them."""

import sys
from collections.abc import Callable
from typing import Any

from attrs import define, field

_AFTER_CELL = "post_run_cell"


@define(eq=False)
class NotebookCells:
    """
    Looks at each cell that has run, where Python runs under IPython (a notebook, Spyder, an IPython console).

    Attributes:
        report: Called with the exception that ended a cell.
    """

    report: Callable[[BaseException], object]
    _shell: Any = field(default=None, init=False)

    def install(self) -> None:
        """Begin to look at cells; nothing happens where there are none, or a second time."""
        shell = _running_shell()
        if shell is not None and self._shell is None:
            shell.events.register(_AFTER_CELL, self.ended)
            self._shell = shell

    def remove(self) -> None:
        """Look at no more cells."""
        shell, self._shell = self._shell, None
        if shell is not None:
            shell.events.unregister(_AFTER_CELL, self.ended)

    def ended(self, result: Any) -> None:
        """Report the exception that ended a cell, if one did; a cell that a person interrupted has no error."""
        error = result.error_before_exec or result.error_in_exec
        if isinstance(error, BaseException) and not isinstance(error, KeyboardInterrupt | SystemExit):
            self.report(error)


def _running_shell() -> Any:
    # Whoever runs under IPython has loaded it.
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()
