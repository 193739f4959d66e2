"""Which commit is measured or played."""

import subprocess
from pathlib import Path


def commit() -> str:
    """Give the commit that this is, with a ``+`` where files differ from it."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
