"""What every command that looks after a server says of itself."""

import inspect
import platform
import re
import shlex
from importlib import import_module

import pytest

from xfworker import __version__
from xfworker.api.cli.main import COMMANDS, command_line, documented_commands, main

GROUPS = ("project", "task", "job", "workflow", "file", "package", "cluster")


def commands():
    for group in GROUPS:
        app = import_module(f"xfworker.api.cli.{group}").app
        for name in app:
            if not name.startswith("-"):
                yield pytest.param(group, name, app[name].default_command, id=f"{group} {name}")
    run, worker = (import_module(f"xfworker.api.cli.{name}").app for name in ("run", "worker"))
    for name in ("list", "priority", "delete"):
        yield pytest.param("run", name, run[name].default_command, id=f"run {name}")
    yield pytest.param("worker", "list", worker["list"].default_command, id="worker list")


def all_commands():
    for command in COMMANDS:
        yield (command.name,)
        app = import_module(command.module).app
        yield from ((command.name, name) for name in app if not name.startswith("-"))


@pytest.mark.parametrize("words", [(), *all_commands()], ids=" ".join)
def test_every_help_gives_the_exit_codes_and_an_example_that_works(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main([*words, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Exit code 0: " in text
    assert not re.search(r"\[default: (False|None|\(\)|\"\")\]", text)
    (example,) = re.findall(r"Example: `xfworker (.*?)`", text)
    given = shlex.split(example)
    assert tuple(given[: len(words)]) == words
    _, arguments, ignored = command_line(given[:1]).parse_args(given, exit_on_error=False, print_error=False)
    assert arguments.arguments or arguments.signature
    assert not ignored


def test_the_reference_shows_every_command_with_what_its_own_help_says():
    text = documented_commands()
    for words in all_commands():
        assert f"# xfworker {' '.join(words)}\n" in text
    assert "until Ctrl-C or SIGTERM" in text


def test_the_shell_completes_commands(tmp_path, monkeypatch):
    for home in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(home, str(tmp_path))
    assert main(["--install-completion", "--shell", "bash"]) == 0
    (script,) = [path for path in tmp_path.rglob("*") if path.is_file() and "xfworker" in path.name]
    assert "workflow" in script.read_text()


def test_the_version_names_what_matters(capsys):
    assert main(["--version"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"xfworker {__version__}\nPython {platform.python_version()} on ")
    assert "numpy " in out


@pytest.mark.parametrize(("group", "name", "command"), list(commands()))
def test_every_command_that_finds_something_gives_it_as_json(group, name, command):
    if (group, name) in {("job", "log"), ("package", "new"), ("package", "pack")}:
        return
    assert "as_json" in inspect.signature(command).parameters
