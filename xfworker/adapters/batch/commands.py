"""Running the commands of a batch system."""

import os
import subprocess
from collections.abc import Sequence

from xfworker.domain.errors import BatchSystemError

_SECONDS = 60.0
_TOKEN = "XFWORKER_SERVER_TOKEN"  # noqa: S105  the name of a variable
_MOST_CHARACTERS = 2000


def run_command(command: Sequence[str], doing: str, text: str = "") -> str:
    """
    Run a command and give what it writes on stdout.

    Args:
        command: Program and arguments.
        doing: What it is run for, for messages: ``submit a pilot to Slurm``.
        text: What it reads on stdin.

    Raises:
        BatchSystemError: It is absent, takes too long or ends with an exit code that is not 0.
    """
    # Some of these commands give the batch job all of their environment, and batch systems show that to others.
    environment = {name: value for name, value in os.environ.items() if name != _TOKEN}
    try:
        ended = subprocess.run(  # noqa: S603  the batch system's own command, found by PATH as a person finds it
            command, env=environment, input=text, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise BatchSystemError(
            f"could not {doing}: there is no command {command[0]!r} on this computer; run this where the batch "
            "system's commands are, mostly a login node"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BatchSystemError(f"could not {doing}: {command[0]}: {error}") from None
    if ended.returncode:
        said = (ended.stderr.strip() or ended.stdout.strip() or "nothing")[:_MOST_CHARACTERS]
        raise BatchSystemError(
            f"could not {doing}: {command[0]} ended with exit code {ended.returncode} and said: {said}"
        )
    return ended.stdout


def unexpected_answer(doing: str, command: str, answer: str) -> BatchSystemError:
    """Give the error of a command that did what it was asked, and says so in words that are not known."""
    return BatchSystemError(
        f"could not {doing}: the answer of {command} names no batch job: {answer.strip()[:_MOST_CHARACTERS]!r}; look "
        "whether there is one, and cancel it by hand"
    )


def integer(value: str | None) -> int | None:
    """Read a variable that should hold an integer; ``None`` where it does not."""
    try:
        return None if value is None else int(value)
    except ValueError:
        return None
