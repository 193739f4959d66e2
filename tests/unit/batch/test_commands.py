"""What commands of a batch system are asked, and what becomes of those that fail or hang."""

import os
import sys

import pytest

from xfworker.adapters.batch import commands
from xfworker.adapters.batch.slurm import Slurm
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


@pytest.mark.skipif(sys.platform == "win32", reason="the command is a shell script")
def test_slurm_is_asked_for_batch_jobs_of_ones_own(tmp_path, monkeypatch):
    # With those of others, a pilot that another user submitted would count as one that can be cancelled.
    (tmp_path / "squeue").write_text('#!/bin/sh\necho "7|$1"\n')
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    assert Slurm().listed() == {"7": "--me"}
