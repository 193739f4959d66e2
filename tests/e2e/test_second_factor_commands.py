"""Signing in and second factors on the command line, as people type them."""

import io
import json
import re

import pyotp
import pytest

from xfworker.api.cli.main import main
from xfworker.api.composition.embedded_server import EmbeddedServer

PASSWORD = "correct horse"


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with EmbeddedServer(tmp_path / "served") as embedded:
        yield embedded


class Keyboard(io.StringIO):
    """Standard input: a password, and then the code of the secret that was printed meanwhile, however often."""

    def __init__(self, capsys):
        super().__init__(f"{PASSWORD}\n")
        self._capsys = capsys
        self.printed = ""

    def readline(self, *_):
        line = super().readline()
        if line:
            return line
        self.printed += self._capsys.readouterr().err
        secret = re.search(r"secret: (\w+)", self.printed)[1]
        return f"{pyotp.TOTP(secret).now()}\n"


def test_a_second_factor_is_set_up_asked_for_and_removed(served, capsys, monkeypatch):
    def command(*words, code=0, stdin=f"{PASSWORD}\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin) if isinstance(stdin, str) else stdin)
        assert main(["user", *words]) == code
        return capsys.readouterr()

    owner, address = ["--server", str(served.data)], ["--server", served.url]
    command("add", "anna", "--password-stdin", *owner)
    session = command("login", "anna", "--password-stdin", *address).out.strip()
    monkeypatch.setenv("XFWORKER_SERVER_TOKEN", session)
    assert "has no second factor" in command("second-factor", "anna", *address).out

    codes = command("set-up-second-factor", "anna", "--password-stdin", *address, stdin=Keyboard(capsys)).out.split()
    assert len(codes) == 10
    state = json.loads(command("second-factor", "anna", "--json", *address).out)
    assert (state["recovery_codes_left"], state["is_demanded"]) == (10, False)
    assert "10 recovery codes are left" in command("second-factor", "anna", *owner).out

    login = ["login", "anna", "--password-stdin", *address]
    assert "give --code" in command(*login, code=2).err
    refused = command(*login, "--code", "000000", code=1).err
    assert "not the present code" in refused
    assert "authentication-failed" in refused
    assert command(*login, "--code", codes[0]).out.strip() != session

    remove = ["remove-second-factor", "anna"]
    assert "password" in command(*remove, "--password-stdin", "--code", codes[1], *address, code=1, stdin="x\n").err
    command(*remove, *owner)
    assert "has no second factor" in command(*remove, *owner, code=1).err
    assert command(*login).out.strip()
