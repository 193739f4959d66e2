"""Passwords that are easily guessed are refused, wherever one is set."""

import pytest

from xfworker.adapters.argon2.password_hasher import Argon2PasswordHasher
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.adapters.passwords.common import CommonPasswords
from xfworker.domain.errors import AuthenticationFailed, InvalidRecord
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.principal import ADMIN

GOOD = "otter basalt quince"


@pytest.fixture
def platform():
    clock = ManualClock()
    hasher = Argon2PasswordHasher(memory_kib=64, rounds=1)
    return Platform(
        MemoryRecordStore(),
        clock,
        MemoryTokenSigner(clock),
        hasher=hasher,
        known_passwords=[CommonPasswords()],
        password_words=["bonelab", "example", "org"],
    )


@pytest.mark.parametrize("password", ["12345678", "Password", "iloveyou", "qwertyuiop"])
def test_common_passwords_are_refused_wherever_one_is_set(platform, password):
    accounts = platform.accounts_for(ADMIN)
    with pytest.raises(InvalidRecord, match="one of the most common passwords") as caught:
        accounts.add("anna", password)
    assert password not in str(caught.value)
    serial = accounts.add("anna", GOOD).serial
    own = platform.accounts_for(platform.authenticate(accounts.log_in("anna", GOOD).text))
    for refuse in (
        lambda: accounts.change(serial, password=password),
        lambda: own.change(serial, password=password, current_password=GOOD),
    ):
        with pytest.raises(InvalidRecord, match="one of the most common passwords"):
            refuse()
    assert accounts.log_in("anna", GOOD)
    with pytest.raises(AuthenticationFailed):
        accounts.log_in("anna", password)


@pytest.mark.parametrize(
    "password",
    [
        "anna.muster",
        "Muster2026!",
        "annaanna",
        "xfworker",
        "XamFlow-2026",
        "bonelab123",
        "xfworker-anna",
        "anna-bonelab",
        "XFWorkerUtil",
        "uni4uni4uni4abc",
    ],
)
def test_a_password_that_is_little_more_than_a_name_is_refused(platform, password):
    with pytest.raises(InvalidRecord, match="little more than"):
        platform.accounts_for(ADMIN).add("anna.muster@uni", password)


@pytest.mark.parametrize("password", ["anna-password", "password.xfworker!", "anna iloveyou 1"])
def test_a_name_beside_a_common_password_is_refused(platform, password):
    with pytest.raises(InvalidRecord, match="one of the most common passwords"):
        platform.accounts_for(ADMIN).add("anna", password)


@pytest.mark.parametrize("password", ["x" * 7, "x" * 1025])
def test_a_password_that_is_too_short_or_too_long_is_refused(platform, password):
    with pytest.raises(InvalidRecord, match="a password has 8 to 1024 characters"):
        platform.accounts_for(ADMIN).add("anna", password)


@pytest.mark.parametrize(
    "password", [GOOD, "my anna rides at dusk", "anna4321wxyz", "        ", "骨骨骨骨骨骨骨骨", "x" * 1024]
)
def test_any_other_password_is_taken(platform, password):
    accounts = platform.accounts_for(ADMIN)
    accounts.add("anna", password)
    assert accounts.log_in("anna", password)


def test_a_part_of_a_name_is_a_word_from_three_letters_on(platform):
    accounts = platform.accounts_for(ADMIN)
    assert accounts.add("jo.q@example.org", "jojojojo").name == "jo.q@example.org"
    with pytest.raises(InvalidRecord, match="little more than 'org'"):
        accounts.add("x", "orgorgorg")
