"""What commands write into ``docs/trust.md``, between two comments that name the command."""


def write(path, name, content):
    """Put ``content`` between the comments of ``name``; raises ValueError where the document has none."""
    text = path.read_text("utf-8")
    begin, end = f"<!-- begin of what {name} wrote -->", f"<!-- end of what {name} wrote -->"
    before, opening, rest = text.partition(begin)
    _, closing, after = rest.partition(end)
    if not opening or not closing:
        raise ValueError(f"{path} has no comments {begin} and {end}")
    path.write_text(f"{before}{begin}\n\n{content.strip()}\n\n{end}{after}", "utf-8")


def table(heads, rows):
    """Write a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
