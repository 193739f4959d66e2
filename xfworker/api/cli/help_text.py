"""What every help says beside the options: an example and the exit codes."""


def group_help(summary: str, example: str) -> str:
    """Give the help of a command that only holds others."""
    return f"{summary}\n\nExit code 0: done; 1: failed; 2: called wrongly. Example: `{example}`"
