"""A console whose terminal obeys nobody but the command line."""

from typing import Any

from rich.console import Console
from rich.text import Text

from xfworker.api.cli.visible_text import visible


class ShownConsole(Console):
    """Prints strings with what a terminal would obey as escapes; what a script wrote is passed on, with its colours."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print strings made :func:`.visible`, and all else as it is."""
        super().print(*(visible(one) if isinstance(one, str) else one for one in objects), **options)

    def out(self, *objects: Any, **_: Any) -> None:
        """Print what a script wrote."""
        super().print(*(Text(str(one)) for one in objects), no_wrap=True, overflow="ignore", crop=False)
