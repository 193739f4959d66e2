"""What every command has in common: exit codes, and what goes where."""

import os
import subprocess
import sys

import pytest


def xfworker(*words, folder, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XF")}
    return subprocess.run(
        [sys.executable, "-m", "xfworker", *words],
        cwd=folder,
        env={**environment, "HOME": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("frobnicate",), "frobnicate"),
        (("run",), "TARGET"),
        (("run", "none.py"), "there is no none.py"),
        (("run", "."), "metadata.json"),
        (("run", "task.py", "--colour", "red"), "--colour"),
        (("package", "check", "none"), "there is no package none"),
        (("package", "new", "x y"), "not a package name"),
        (("worker", "--concurrency", "0"), "--concurrency"),
        (("worker", "--dependency", "numpy", "--server", "http://localhost:1"), "NAME==1.2.3.4"),
        (("package", "install", "."), "no server is named"),
        (("workflow", "import", "."), "no server is named"),
        (("config", "check", "none.toml"), "none.toml"),
    ],
)
def test_wrong_calls_are_usage_and_say_what_is_wrong(tmp_path, words, part):
    done = xfworker(*words, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert part in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_is_not_there_is_one_sentence_and_nothing_on_stdout(tmp_path):
    done = xfworker(
        "package",
        "install",
        ".",
        "--server",
        "http://127.0.0.1:1",
        folder=tmp_path,
        XFWORKER_SERVER_TOKEN="s3cret-token",
        XFWORKER_HTTP_ATTEMPTS="2",
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "s3cret" not in done.stderr


def test_a_missing_token_is_said(tmp_path):
    done = xfworker("worker", "--server", "https://xf.example", folder=tmp_path)
    assert done.returncode == 2
    assert "XFWORKER_SERVER_TOKEN" in done.stderr


def test_help_names_every_command(tmp_path):
    done = xfworker("--help", folder=tmp_path)
    assert done.returncode == 0
    for command in ("demo", "run", "serve", "worker", "package", "workflow", "image", "config"):
        assert command in done.stdout


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    command = f"'{sys.executable}' -m xfworker config show | head -1"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
