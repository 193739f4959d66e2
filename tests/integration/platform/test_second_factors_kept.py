"""Second factors outlive a rotation of the server's secret, a backup and a move to another database."""

import gzip
from contextlib import closing, contextmanager, suppress
from copy import deepcopy
from datetime import UTC, datetime

import pyotp
import pytest
from attrs import define

from tests.contract.suites.postgresql import make_databases, postgresql_server
from tests.unit.platform.second_factor_home import Home
from xfworker.adapters.authenticator.sealed_secrets import SealedAuthenticatorSecrets
from xfworker.adapters.jwt.secret_file import rotate, secrets_in
from xfworker.adapters.memory.clock import ManualClock
from xfworker.api.composition.backups import make_backup, restore_backup
from xfworker.api.composition.migration import migrate
from xfworker.api.composition.platform import PlatformStorage, file_store, opened_platform, opened_records
from xfworker.domain.bookkeeping import SecondFactor
from xfworker.domain.errors import AuthenticationFailed, SecondFactorNeeded
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


def is_readable_nowhere(backup, *texts):
    """Say whether a backup holds none of these as it is, also where it is compressed."""
    contents = [file.read_bytes() for file in backup.rglob("*") if file.is_file()]
    contents += [gzip.decompress((backup / "records.jsonl.gz").read_bytes())]
    assert b"second_factors" in contents[-1]
    spellings = [spelling.encode() for text in texts for spelling in (text, text.replace("-", ""))]
    return not any(spelling in content for spelling in spellings for content in contents)


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
    assert is_readable_nowhere(tmp_path / "backup", secret)
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


@pytest.fixture
def databases():
    """The addresses of two empty databases of PostgreSQL."""
    with postgresql_server() as server:
        yield list(make_databases(server, "first", "other").values())


@define
class Anna:
    """A person with an authenticator application and recovery codes, wherever the server keeps what it keeps."""

    clock: ManualClock
    secret: str
    unused: list
    used: list

    @contextmanager
    def home(self, storage):
        """Start a server over what is kept there."""
        with closing(opened_records(storage)) as records:
            home = Home(records=records, secret=secrets_in(storage.secret_path).current, clock=self.clock)
            home.phone.secret = self.secret
            yield home

    def comes_in(self, home, code):
        home.log_in(code)
        self.used.append(code)

    def comes_in_by_new_codes_only(self, storage):
        with self.home(storage) as home:
            # The time stands still, so what the application shows is among the used ones.
            assert home.phone.code() in self.used
            for code in self.used:
                with pytest.raises(AuthenticationFailed, match="used already"):
                    home.log_in(code)
            with pytest.raises(SecondFactorNeeded):
                home.log_in()
            self.comes_in(home, self.unused.pop())
            self.comes_in(home, home.phone.next_code())


@pytest.fixture
def anna():
    return Anna(ManualClock(), "", [], [])


def test_on_postgresql_what_proves_a_person_does_so_after_a_move_and_a_backup_and_what_was_used_never_again(
    anna, tmp_path, databases
):
    old = PlatformStorage(data=tmp_path / "old", durable=False)
    file_store(old).close()
    with anna.home(old) as home:
        serial = home.add()
        anna.unused += home.set_up()
        anna.secret = home.phone.secret
        anna.comes_in(home, anna.unused.pop())
        anna.comes_in(home, home.phone.code())
    moved, restored = (
        PlatformStorage(data=tmp_path / name, database=address)
        for name, address in zip(("moved", "restored"), databases, strict=True)
    )
    assert migrate(old, moved, lambda _: None).records["second_factors"] == 1
    anna.comes_in_by_new_codes_only(moved)
    backup = tmp_path / "backup"
    make_backup(moved, backup)
    assert is_readable_nowhere(backup, anna.secret, *anna.unused, anna.used[0])
    with anna.home(moved) as home:
        home.platform.second_factors_for(ADMIN).remove(serial)
        home.log_in()
    for place in (moved, restored):
        restore_backup(place, backup)
        deepcopy(anna).comes_in_by_new_codes_only(place)
