"""Figures that a command measured, printed and put into a document, each command's between two comments of its own."""

import json
import sys


def report(name, figures, *, write=None, as_json=False):
    """
    Print figures, and put them into a document where one is named.

    Args:
        name: Whose figures they are, as the comments of the document name it.
        figures: The figures by name.
        write: The document.
        as_json: Whether they are printed as one JSON object.
    """
    if write is not None:
        _write(write, name, figures)
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        sys.stdout.write("".join(f"{key.replace('_', ' ')}: {value}\n" for key, value in figures.items()))


def _write(path, name, figures):
    begin, end = f"<!-- begin of the figures of {name} -->", f"<!-- end of the figures of {name} -->"
    text = path.read_text("utf-8")
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        sys.exit(f"{path} has no place for the figures of {name}: put {begin} and {end} into it, a line each")
    rows = "".join(f"| {key.replace('_', ' ')} | {value} |\n" for key, value in figures.items())
    path.write_text(f"{before}{begin}\n\n| figure | value |\n|---|---|\n{rows}\n{end}{after}", "utf-8")
