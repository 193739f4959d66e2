"""Second factors outlive a rotation of the server's secret, a backup and a move to another database."""

from contextlib import suppress
from datetime import UTC, datetime

import pyotp
import pytest

from xfworker.adapters.authenticator.sealed_secrets import SealedAuthenticatorSecrets
from xfworker.adapters.jwt.secret_file import rotate, secrets_in
from xfworker.api.composition.backups import make_backup, restore_backup
from xfworker.api.composition.migration import migrate
from xfworker.api.composition.platform import PlatformStorage, file_store, opened_platform
from xfworker.domain.bookkeeping import SecondFactor
from xfworker.domain.errors import AuthenticationFailed
from xfworker.services.platform.principal import ADMIN

PASSWORD = "otter basalt quince"


@pytest.fixture
def kept(tmp_path):
    """A server's data, and the secret of an account's authenticator application."""
    storage = PlatformStorage(data=tmp_path / "data", durable=False)
    file_store(storage).close()
    with opened_platform(storage) as platform:
        accounts = platform.accounts_for(ADMIN)
        serial = accounts.add("anna", PASSWORD).serial
        anna = platform.second_factors_for(platform.authenticate(accounts.log_in("anna", PASSWORD).text))
        secret = anna.begin(serial, PASSWORD).secret
        for _ in range(2):  # where the next 30 s begin just after the first code was made
            with suppress(AuthenticationFailed):
                anna.confirm(serial, pyotp.TOTP(secret).now())
                break
    return storage, secret


def turn(storage):
    now = datetime.now(UTC)
    rotate(storage.secret_path, now=now, former_until=now)


def is_sealed_under_the_present_secret(storage, secret):
    """Start the server once, and say whether what it kept is that secret, by its present secret alone."""
    with opened_platform(storage) as platform:
        platform.begin_serving()
        with platform.records.transaction(write=False) as transaction:
            (factor,) = transaction.find(SecondFactor)
    present = SealedAuthenticatorSecrets(secrets_in(storage.secret_path).current)
    return present.code_at(factor.sealed_secret, 7) == pyotp.HOTP(secret).at(7) and factor.confirmed_at is not None


def test_a_factor_is_encrypted_anew_after_rotations_also_where_nobody_started_the_server_between(kept):
    storage, secret = kept
    assert secret.encode() not in (storage.data / "records.sqlite").read_bytes()
    turn(storage)
    turn(storage)
    assert secrets_in(storage.secret_path).former == ()
    assert is_sealed_under_the_present_secret(storage, secret)


def test_a_backup_brings_factors_back_elsewhere_and_after_a_rotation(kept, tmp_path):
    storage, secret = kept
    make_backup(storage, tmp_path / "backup")
    assert all(secret.encode() not in file.read_bytes() for file in (tmp_path / "backup").rglob("*") if file.is_file())
    elsewhere = PlatformStorage(data=tmp_path / "elsewhere", durable=False)
    restore_backup(elsewhere, tmp_path / "backup")
    assert is_sealed_under_the_present_secret(elsewhere, secret)
    turn(storage)
    assert is_sealed_under_the_present_secret(storage, secret)
    restore_backup(storage, tmp_path / "backup")
    assert is_sealed_under_the_present_secret(storage, secret)


def test_a_move_to_another_database_takes_factors_along(kept, tmp_path):
    storage, secret = kept
    new = PlatformStorage(data=tmp_path / "new", durable=False)
    moved = migrate(storage, new, lambda _: None)
    assert moved.records["second_factors"] == 1
    assert is_sealed_under_the_present_secret(new, secret)
