"""Writes the page of the command line from the help of every command, before the site is built."""

import re
from pathlib import Path

from sphinx.application import Sphinx

from xfworker.api.cli.main import documented_commands

_PAGE = Path("reference/command-line.md")
_HEAD = """# The command line

For you when you look for an option. This page is what `--help` says, command by command.

"""


def write_page(app: Sphinx) -> None:
    """Write the page anew where the help has changed."""
    text = documented_commands()
    text = text[text.index("\n## ") :]
    # Links to headings of this page would need names that the site gives in another way.
    text = _HEAD + re.sub(r"\[(`[^`]+`)\]\(#[^)]*\)", r"\1", text).lstrip()
    page = Path(app.srcdir) / _PAGE
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the page before Sphinx looks for pages."""
    app.connect("builder-inited", write_page)
    return {"parallel_read_safe": True}
