"""How guesses are counted, forgotten and forgiven, and what proves who asks."""

import attrs
import pytest

from tests.unit.platform.test_accounts import House
from tests.unit.platform.test_publications import Doubtful
from xfworker.adapters.argon2.password_hasher import Argon2PasswordHasher
from xfworker.adapters.memory.clock import ManualClock
from xfworker.domain.errors import AuthenticationFailed, TooManyRequests
from xfworker.services.platform.login_throttle import LoginThrottle


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def throttle(clock):
    return LoginThrottle(clock)


def fail(throttle, times, *, name="anna", address="stranger"):
    for _ in range(times):
        throttle.failed(name, address)


def refuses(throttle, *, name="anna", address="elsewhere"):
    try:
        throttle.require_turn(name, address)
    except TooManyRequests:
        return True
    return False


def test_each_failure_doubles_the_wait_up_to_a_minute(clock, throttle):
    fail(throttle, 9)
    waits = []
    for _ in range(8):
        fail(throttle, 1)
        with pytest.raises(TooManyRequests) as caught:
            throttle.require_turn("anna", "elsewhere")
        waits.append(caught.value.retry_after_seconds)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


@pytest.mark.parametrize(("seconds", "is_forgotten"), [(100, False), (900, False), (900.5, True)])
def test_failures_are_forgotten_after_a_quarter_of_an_hour_without_any(clock, throttle, seconds, is_forgotten):
    clock.advance(500)
    fail(throttle, 10)
    clock.advance(seconds)
    fail(throttle, 1)
    assert refuses(throttle) is not is_forgotten
    if is_forgotten:
        fail(throttle, 8)
        assert not refuses(throttle)
        fail(throttle, 1)
        assert refuses(throttle)


def test_who_came_in_begins_anew_everywhere(throttle):
    fail(throttle, 9)
    throttle.succeeded("anna", "home")
    fail(throttle, 9, address="another stranger")
    assert not refuses(throttle)


def test_who_is_guessed_at_again_is_not_let_go_as_the_oldest(throttle):
    fail(throttle, 10)
    for number in range(9_000):
        throttle.failed(f"name{number}", "one address")
    fail(throttle, 1)
    for number in range(9_000):
        throttle.failed(f"other{number}", "one address")
    assert refuses(throttle)


def test_a_password_is_compared_with_one_hash_where_there_is_no_such_account_which_nothing_shows(throttle):
    hasher = Argon2PasswordHasher(memory_kib=64, rounds=1)
    hashed = throttle.hash_of_nobody(hasher)
    assert hashed.startswith("$argon2id$")
    assert throttle.hash_of_nobody(hasher) == hashed
    assert hashed not in repr(throttle)


# --- who is in already ------------------------------------------------------------------------------------------------


@pytest.fixture
def house():
    made = House()
    made.serial = made.accounts.add("anna", "anna-password").serial
    return made


@pytest.mark.parametrize("way", ["password", "both"])
def test_a_right_password_of_who_is_in_already_makes_up_for_wrong_ones_before_it(house, way):
    identity = house.accounts.identity

    def prove(password):
        if way == "password":
            identity.require_password(house.serial, password)
        else:
            identity.require_both(house.serial, password, None)

    for _ in range(2):
        for _ in range(9):
            with pytest.raises(AuthenticationFailed, match="the current password of anna"):
                prove("a guess")
        prove("anna-password")
    for _ in range(10):
        with pytest.raises(AuthenticationFailed):
            prove("a guess")
    with pytest.raises(TooManyRequests):
        prove("anna-password")


def test_a_password_is_asked_for_while_nobody_can_write_records(house):
    records = Doubtful()
    with house.records.transaction(write=False) as transaction:
        account = transaction.get(type(house.accounts.all()[0]), house.serial)
    with records.transaction() as transaction:
        serial = transaction.insert(account).serial
    records.is_away = True
    attrs.evolve(house.accounts.identity, records=records).require_password(serial, "anna-password")
