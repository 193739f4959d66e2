"""Sessions end by time and where nobody uses them, are limited in number, and are ended by whose they are."""

from datetime import timedelta

import attrs
import pytest

from tests.unit.platform.test_accounts import House
from xfworker.domain.bookkeeping import Account, PersonalToken
from xfworker.domain.errors import AuthenticationFailed, PermissionDenied, RecordNotFound
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.tokens import Sessions, keep_use

HOUR = 3600.0
WORDS = "anna-password"


def house_with(**options):
    """Give a house with an account, whose installation chose these options."""
    house = House()
    hasher = house.accounts.passwords.hasher
    house.platform = Platform(
        house.records, house.clock, house.platform.signer, PlatformOptions(**options), hasher=hasher
    )
    house.accounts = house.platform.accounts_for(house.admin)
    house.serial = house.accounts.add("anna", WORDS).serial
    return house


@pytest.fixture
def house():
    return house_with()


def begin(house):
    return house.accounts.log_in("anna", WORDS, address="10.0.0.5").text


def is_in(house, text):
    try:
        house.platform.authenticate(text)
    except AuthenticationFailed:
        return False
    return True


@pytest.mark.parametrize(("options", "hours"), [({}, 72), ({"session_idle_seconds": 2 * HOUR}, 2)])
def test_a_session_that_is_not_used_ends_and_one_that_is_used_goes_on(options, hours):
    house = house_with(**options)
    left, used = begin(house), begin(house)
    house.clock.advance(0.6 * hours * HOUR)
    assert is_in(house, used)
    house.clock.advance(0.6 * hours * HOUR)
    assert is_in(house, used)
    assert not is_in(house, left)


@pytest.mark.parametrize(("options", "hours"), [({}, 30 * 24), ({"session_seconds": 40 * HOUR}, 40)])
def test_a_session_ends_at_the_latest_however_much_it_is_used(options, hours):
    house = house_with(**options)
    session = begin(house)
    for _ in range(hours // 10 - 1):
        house.clock.advance(10 * HOUR)
        assert is_in(house, session)
    house.clock.advance(10 * HOUR)
    assert not is_in(house, session)


def test_a_token_for_a_program_does_not_end_unused(house):
    token = house.accounts.add_token(house.serial, "nightly", days=90).text
    house.clock.advance(80 * 24 * HOUR)
    assert is_in(house, token)


def test_one_session_too_many_ends_the_one_that_was_unused_for_longest():
    house = house_with(most_sessions=3)
    program = house.accounts.add_token(house.serial, "nightly").text
    first, second, third = begin(house), begin(house), begin(house)
    house.clock.advance(10 * HOUR)
    assert is_in(house, first)
    house.clock.advance(HOUR)
    fourth = begin(house)
    assert [is_in(house, text) for text in (first, second, third, fourth, program)] == [True, False, True, True, True]


def test_ended_sessions_are_deleted_when_the_next_one_begins(house):
    begin(house)
    house.clock.advance(100 * HOUR)
    begin(house)
    assert len(house.accounts.tokens(house.serial)) == 1


def test_tokens_that_ended_are_deleted_a_month_later_by_maintenance(house):
    begin(house)
    house.accounts.add_token(house.serial, "of a day", days=1)
    house.accounts.add_token(house.serial, "without an end")
    house.clock.advance(25 * HOUR)
    house.platform.maintain()

    def names_after(hours):
        house.clock.advance(hours * HOUR)
        house.platform.maintain()
        return [token.name for token in house.accounts.tokens(house.serial)]

    session, *others = names_after(29 * 24 + 22)
    assert others == ["of a day", "without an end"]
    assert names_after(2) == [session, "without an end"]
    assert names_after(4 * 24) == ["without an end"]


def test_all_other_sessions_of_an_account_are_ended_at_once(house):
    own, other = begin(house), begin(house)
    program = house.accounts.add_token(house.serial, "nightly").text
    anna = house.platform.accounts_for(house.platform.authenticate(own))
    assert anna.end_sessions(house.serial) == 1
    assert [is_in(house, text) for text in (own, other, program)] == [True, False, True]
    assert house.accounts.end_sessions(house.serial) == 1
    assert not is_in(house, own)


def test_nobody_ends_sessions_of_others_but_administrators(house):
    session = begin(house)
    berta = house.platform.accounts_for(house.person("berta"))
    with pytest.raises(PermissionDenied, match="end sessions of others"):
        berta.end_sessions(house.serial)
    assert is_in(house, session)
    with pytest.raises(RecordNotFound):
        house.accounts.end_sessions(999)


def test_a_session_lists_when_it_was_used_and_from_where_it_began(house):
    session = begin(house)
    house.clock.advance(10 * HOUR)
    house.platform.authenticate(session)
    (listed,) = house.accounts.tokens(house.serial)
    assert (listed.last_used_at, listed.address) == (house.clock.now(), "10.0.0.5")


def test_a_session_that_is_ended_while_its_use_is_kept_stays_ended(house):
    principal = house.platform.authenticate(begin(house))
    house.accounts.end_sessions(house.serial)
    with house.records.transaction() as transaction:
        with pytest.raises(AuthenticationFailed, match="revoked or has expired"):
            keep_use(transaction, principal.token_key, house.clock.now())
        assert transaction.find(PersonalToken) == []


def test_a_use_is_kept_when_a_sixtieth_of_the_idle_time_is_over_and_not_with_every_request():
    house = house_with(session_idle_seconds=6000)
    began_at, session = house.clock.now(), begin(house)
    for seconds, is_kept in ((99, False), (1, True), (99, False), (1, True)):
        house.clock.advance(seconds)
        before = house.accounts.tokens(house.serial)[0].last_used_at
        house.platform.authenticate(session)
        after = house.accounts.tokens(house.serial)[0].last_used_at
        assert after == (house.clock.now() if is_kept else before)
    assert after == began_at + timedelta(seconds=200)


@pytest.mark.parametrize(
    ("unused", "age", "is_over"),
    [(60, 100, True), (59, 100, False), (0, 200, True), (0, 199, False), (None, 199, False), (None, 200, True)],
)
def test_a_session_is_over_at_the_very_end_of_its_time(house, unused, age, is_over):
    now = house.clock.now()
    sessions = Sessions(house.platform.signer, PlatformOptions(session_seconds=200, session_idle_seconds=60))
    token = PersonalToken(
        account_serial=house.serial,
        name="session",
        key="k",
        expires_at=now + timedelta(seconds=200 - age),
        last_used_at=None if unused is None else now - timedelta(seconds=unused),
    )
    assert sessions.is_over(token, now) is is_over


def test_the_signed_token_itself_says_when_it_ends(house):
    made = house.accounts.add_token(house.serial, "nightly", days=1)
    assert house.platform.signer.verify(made.text)["exp"] == int(made.record.expires_at.timestamp())


def test_a_workers_token_is_no_session_of_the_first_account(house):
    made = house.accounts.add_worker_token("bench")
    assert (house.serial, house.accounts.tokens(house.serial)) == (1, [])
    assert made.record.account_serial == 0


def test_a_session_of_an_administrator_goes_on_as_one_of_a_user_when_the_account_is_none_any_more(house):
    house.accounts.change(house.serial, administrator=True)
    session = begin(house)
    assert house.platform.authenticate(session).is_admin
    with house.records.transaction() as transaction:
        account = transaction.get(Account, house.serial)
        transaction.replace(attrs.evolve(account, administrator=False))
    assert not house.platform.authenticate(session).is_admin


def test_a_session_whose_account_is_gone_is_over(house):
    session = begin(house)
    with house.records.transaction() as transaction:
        transaction.delete(Account, {"serial": house.serial})
    with pytest.raises(AuthenticationFailed, match="account is gone"):
        house.platform.authenticate(session)


def test_who_a_token_is_of_its_record_says_whatever_kind_the_token_claims(house):
    key = house.platform.authenticate(begin(house)).token_key
    worker = house.accounts.add_worker_token("bench").record.key
    sign = house.platform.signer.sign
    assert not house.platform.authenticate(sign({"kind": "admin", "key": key})).is_admin
    with pytest.raises(AuthenticationFailed):
        house.platform.authenticate(sign({"kind": "user", "key": worker}))
