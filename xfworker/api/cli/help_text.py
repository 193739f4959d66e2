"""What every help says beside the options: an example and the exit codes."""


def group_help(summary: str, example: str) -> str:
    """Give the help of a command that only holds others."""
    return f"{summary}\n\nExit code 0: done; 1: failed; 2: called wrongly. Example: `{example}`"


def shown_default(value: object) -> str | None:
    """Write an option's default for its help; ``None``, where that says nothing: not set, not given, empty."""
    if value is None or value is False or value in ("", ()):
        return None
    return str(value)
