"""What every command that looks after a server says of itself."""

import inspect
from importlib import import_module

import pytest

GROUPS = ("project", "task", "job", "workflow", "file", "package")


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


@pytest.mark.parametrize(("group", "name", "command"), list(commands()))
def test_every_command_gives_an_example_and_its_exit_codes(group, name, command):
    text = " ".join(inspect.getdoc(command).split())
    assert f"Example: `xfworker {group} {name}" in text
    assert "Exit code 0: " in text


@pytest.mark.parametrize(("group", "name", "command"), list(commands()))
def test_every_command_that_finds_something_gives_it_as_json(group, name, command):
    if (group, name) in {("job", "log"), ("package", "new"), ("package", "pack")}:
        return
    assert "as_json" in inspect.signature(command).parameters
