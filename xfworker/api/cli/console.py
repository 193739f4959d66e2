"""Where the command line writes: results on stdout, everything else on stderr."""

import codecs
import io
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from xfworker.api.cli.visible_text import visible
from xfworker.api.kept_stderr import KeptStderr

if TYPE_CHECKING:
    from rich.console import Console

_UNLIMITED_COLUMNS = 100_000


def prepare_output() -> None:
    """
    Let stdout and stderr take every character: what the console's encoding does not have is written as an escape.

    Without it a job that is done would end with an error on a console whose code page lacks one character of it.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Write one line on stderr, with nothing but the standard library."""
    output = KeptStderr(sys.stderr)
    output.write(f"{visible(text)}\n")
    output.flush()


def messages() -> "Console":
    """Give the console for progress, messages and logs: stderr."""
    from xfworker.api.cli.shown_console import ShownConsole

    # FORCE_COLOR makes rich take a file for a terminal, and it would draw there what moves.
    terminal = None if sys.stderr.isatty() else False
    file: Any = KeptStderr(sys.stderr)
    return ShownConsole(file=file, highlight=False, markup=False, emoji=False, soft_wrap=True, force_terminal=terminal)


def results() -> "Console":
    """Give the console for results: stdout. Lines are not broken, so that a path can be copied and read by programs."""
    from rich.console import Console

    from xfworker.api.cli.shown_console import ShownConsole

    kind = ShownConsole if sys.stdout.isatty() else Console
    return kind(highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str = "",
    text: Iterable[str] = (),
    show_headings: bool = True,
) -> None:
    """
    Print a table on stdout.

    On a terminal it fits its width: the columns of text are folded, the others (serials, states) are not. In a pipe or
    a file every row is one line, whole.

    Args:
        headings: The columns' headings.
        rows: The cells of each row; ``None`` is an empty cell.
        title: A line above the table.
        text: The headings of the columns that may be folded; without any all may.
        show_headings: Whether there is a line of headings; without it the first column names the rows.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    to_a_person = sys.stdout.isatty()
    console = Console(highlight=False, markup=False, emoji=False, width=None if to_a_person else _UNLIMITED_COLUMNS)
    folded = set(text) or set(headings)
    table = Table(box=None, pad_edge=False, show_header=show_headings)
    for number, heading in enumerate(headings):
        style = "" if show_headings or number else "bold"
        table.add_column(Text(heading, style="bold"), style=style, overflow="fold", no_wrap=heading not in folded)
    for row in rows:
        cells = ["" if cell is None else visible(str(cell)) for cell in row]
        table.add_row(*(Text(cell if to_a_person else _on_one_line(cell)) for cell in cells))
    if title:
        results().print(visible(title))
    if to_a_person:
        console.print(table)
        return
    with console.capture() as capture:
        console.print(table)
    # The cells of a column are padded to one width; behind the last there is nothing to keep apart.
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def print_json(document: Any) -> None:
    """Print one JSON document on stdout, in UTF-8; where stdout has another encoding, as on Windows, in ASCII."""
    text = visible(json.dumps(document, indent=2, ensure_ascii=False))
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        # The code page of a pipe is nobody's business who reads JSON.
        text.encode("utf-8" if codecs.lookup(encoding).name == "utf-8" else "ascii")
    except UnicodeEncodeError:
        text = json.dumps(document, indent=2)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _on_one_line(text: str) -> str:
    return " ".join(text.split("\n"))
