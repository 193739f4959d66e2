"""What becomes of commands of a batch system that fail or hang."""

import sys

import pytest

from xfworker.adapters.batch import commands
from xfworker.domain.errors import BatchSystemError


def test_a_command_that_hangs_is_given_up(monkeypatch):
    # A controller that is away lets squeue wait for it, and a person would wait with it.
    monkeypatch.setattr(commands, "_SECONDS", 0.2)
    with pytest.raises(BatchSystemError, match=r"could not list batch jobs: .* timed out"):
        commands.run_command([sys.executable, "-c", "import time; time.sleep(30)"], "list batch jobs")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_command_that_fails_is_an_error_with_what_it_said(stream):
    code = f"import sys; print('no such partition', file=sys.{stream}); sys.exit(3)"
    with pytest.raises(BatchSystemError, match="ended with exit code 3 and said: no such partition"):
        commands.run_command([sys.executable, "-c", code], "submit a pilot")
