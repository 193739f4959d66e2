"""Where the command line writes: results on stdout, everything else on stderr."""

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def messages() -> "Console":
    """Give the console for progress, messages and logs: stderr."""
    from rich.console import Console

    # FORCE_COLOR makes rich take a file for a terminal, and it would draw there what moves.
    terminal = None if sys.stderr.isatty() else False
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True, force_terminal=terminal)


def results() -> "Console":
    """Give the console for results: stdout."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout; characters that the terminal cannot show are written as escapes."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = json.dumps(document, indent=2)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
