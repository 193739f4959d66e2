"""Runs a program in the foreground: with the caller's terminal, so that a debugger in it can be talked to."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_STDERR = 2


def run_in_foreground(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], *, log: Path | None, stdout_is_taken: bool
) -> int:
    """
    Run a program to its end.

    Args:
        command: Program and arguments.
        folder: Where it starts.
        environment: Its whole environment.
        log: A file that takes what it writes; the caller's own stdout and stderr where ``None``.
        stdout_is_taken: Whether it must not write to the caller's stdout; it then writes to stderr.

    Returns:
        Its exit code, negative for a signal.
    """
    options = {"cwd": folder, "env": dict(environment), "check": False}
    if log is None:
        stdout = _STDERR if stdout_is_taken else None
        return subprocess.run(command, stdout=stdout, **options).returncode  # type: ignore[call-overload,no-any-return]  # noqa: PLW1510,S603  check is among the options; our own program
    with log.open("wb") as output:
        return subprocess.run(  # type: ignore[call-overload,no-any-return]  # noqa: PLW1510,S603  as above
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
        ).returncode
