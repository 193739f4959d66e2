"""The secret that signs tokens: made once, changed by a rotation, and what it signed is good for a while."""

import json
import os
import shutil
import sys
from datetime import UTC, datetime, timedelta

import pytest

from xfworker.adapters.jwt.secret_file import rotate, secrets_in
from xfworker.adapters.jwt.token_signer import JwtTokenSigner
from xfworker.adapters.memory.clock import ManualClock
from xfworker.api.cli.main import main
from xfworker.domain.errors import AuthenticationFailed, ConfigurationError

DAY = 24 * 3600.0


def signer(path, clock):
    kept = secrets_in(path)
    return JwtTokenSigner(kept.current, clock, former=[(one.secret, one.until) for one in kept.former])


def turn(path, clock, days):
    return rotate(path, now=clock.now(), former_until=clock.now() + timedelta(days=days))


def test_what_was_signed_before_a_rotation_is_good_until_the_time_that_was_said(tmp_path):
    clock, path = ManualClock(), tmp_path / "secret"
    before = signer(path, clock).sign({"kind": "admin"})
    turn(path, clock, 30)
    after = signer(path, clock)
    assert after.verify(before) == {"kind": "admin"}
    new = after.sign({"kind": "job"})
    clock.advance(30 * DAY)
    with pytest.raises(AuthenticationFailed, match="secret that has ended"):
        after.verify(before)
    assert after.verify(new) == {"kind": "job"}


def test_of_two_servers_that_begin_at_once_one_makes_the_secret(tmp_path, monkeypatch):
    path, fsync = tmp_path / "secret", os.fsync
    other = secrets_in(tmp_path / "of-the-other")

    def overtaken(handle):
        fsync(handle)
        if not path.exists():
            shutil.copyfile(tmp_path / "of-the-other", path)

    monkeypatch.setattr(os, "fsync", overtaken)
    assert secrets_in(path).current == other.current
    monkeypatch.undo()
    assert secrets_in(path).current == other.current
    assert sorted(each.name for each in tmp_path.iterdir()) == ["of-the-other", "secret"]


def test_a_second_rotation_keeps_what_still_verifies_and_drops_what_has_ended(tmp_path):
    clock, path = ManualClock(), tmp_path / "secret"
    first = signer(path, clock).sign({"n": 1})
    turn(path, clock, 10)
    second = signer(path, clock).sign({"n": 2})
    clock.advance(5 * DAY)
    assert len(turn(path, clock, 30).former) == 2
    assert signer(path, clock).verify(first) == {"n": 1}
    clock.advance(6 * DAY)
    assert len(turn(path, clock, 30).former) == 2
    with pytest.raises(AuthenticationFailed):
        signer(path, clock).verify(first)
    assert signer(path, clock).verify(second) == {"n": 2}


def test_after_a_theft_everybody_is_out_at_once(tmp_path):
    clock, path = ManualClock(), tmp_path / "secret"
    stolen = secrets_in(path).current
    assert turn(path, clock, 0).former == ()
    with pytest.raises(AuthenticationFailed):
        signer(path, clock).verify(JwtTokenSigner(stolen, clock).sign({"kind": "admin"}))


def test_a_secret_is_made_once_and_read_by_its_owner_only(tmp_path):
    path = tmp_path / "secret"
    made = secrets_in(path)
    assert secrets_in(path) == made
    rotate(path, now=datetime.now(UTC), former_until=datetime.now(UTC) + timedelta(days=1))
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]
    if sys.platform != "win32":
        assert path.stat().st_mode & 0o777 == 0o600
    assert made.current.hex() not in repr(secrets_in(path))


@pytest.mark.parametrize("content", ["not hexadecimal", "00\n11 until tomorrow", "00\nzz until 2026-01-01T00:00:00Z"])
def test_a_damaged_file_is_refused_and_stays_as_it_is(tmp_path, content):
    path = tmp_path / "secret"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="could not read the server's secret"):
        secrets_in(path)
    with pytest.raises(ConfigurationError, match="could not read the server's secret"):
        turn(path, ManualClock(), 1)
    assert path.read_text() == content


def test_the_command_rotates_and_shows_no_secret(tmp_path, capsys):
    path = tmp_path / "secret"
    before, began = secrets_in(path).current, datetime.now(UTC)
    assert main(["secret", "rotate", "--data", str(tmp_path), "--keep-days", "7", "--json"]) == 0
    assert began + timedelta(days=7) <= secrets_in(path).former[0].until <= datetime.now(UTC) + timedelta(days=7)
    shown = capsys.readouterr().out
    after = secrets_in(path)
    assert after.current != before
    assert [one.secret for one in after.former] == [before]
    assert after.current.hex() not in shown
    assert before.hex() not in shown
    assert [set(one) for one in json.loads(shown)["former"]] == [{"fingerprint", "verifies_until"}]
    assert main(["secret", "rotate", "--data", str(tmp_path)]) == 0
    assert "restart the server now" in capsys.readouterr().err


def test_the_command_makes_no_secret_where_there_is_no_server(tmp_path, capsys):
    assert main(["secret", "rotate", "--data", str(tmp_path)]) == 2
    assert "could not read the server's secret" in capsys.readouterr().err
    assert main(["secret", "rotate", "--data", str(tmp_path), "--keep-days", "nan"]) == 2
    assert list(tmp_path.iterdir()) == []
