"""Second factors as people look after them: set up, moved to another phone, and removed where they are lost."""

import pytest

from tests.unit.platform.second_factor_home import SECRET, WORDS, Home
from tests.unit.platform.test_publications import Doubtful
from xfworker.domain.bookkeeping import PersonalToken, SecondFactor
from xfworker.domain.errors import (
    AuthenticationFailed,
    ConfigurationError,
    PermissionDenied,
    RecordNotFound,
    SecondFactorNeeded,
    TooManyRequests,
)
from xfworker.domain.records import ActivityEvent
from xfworker.services.platform.principal import ADMIN


@pytest.fixture
def home():
    made = Home()
    made.add()
    return made


def test_guesses_at_codes_of_who_is_signed_in_are_slowed_down(home):
    codes = home.set_up()
    anna = home.log_in(codes[0])
    for _ in range(10):
        with pytest.raises(SecondFactorNeeded):
            home.factors(anna).remove(home.serial, WORDS)
        with pytest.raises(AuthenticationFailed):
            home.factors(anna).remove(home.serial, WORDS, "000000")
    with pytest.raises(TooManyRequests):
        home.factors(anna).remove(home.serial, WORDS, home.phone.code())
    assert home.factors(anna).state(home.serial).set_up_at is not None


def test_the_own_password_that_is_said_for_a_change_does_not_free_the_way_for_guesses_at_codes(home):
    codes = home.set_up()
    anna = home.platform.accounts_for(home.log_in(codes[0]))
    for _ in range(10):
        with pytest.raises(AuthenticationFailed):
            home.factors(anna.principal).remove(home.serial, WORDS, "000000")
    home.clock.advance(60)
    anna.identity.require_password(home.serial, WORDS)
    with pytest.raises(AuthenticationFailed):
        home.factors(anna.principal).remove(home.serial, WORDS, "000000")
    with pytest.raises(TooManyRequests):
        home.factors(anna.principal).remove(home.serial, WORDS, home.phone.code())


def test_a_set_up_that_was_not_confirmed_does_not_count(home):
    anna = home.log_in()
    home.factors(anna).begin(home.serial, WORDS)
    assert home.log_in().name == "anna"
    assert home.factors(anna).state(home.serial).set_up_at is None
    assert home.factors(ADMIN).holders() == frozenset()
    with pytest.raises(AuthenticationFailed, match="not the present code"):
        home.factors(anna).confirm(home.serial, "000000")
    assert home.log_in().name == "anna"


def test_a_set_up_is_confirmed_within_ten_minutes_or_begun_again(home):
    anna = home.log_in()
    first = home.factors(anna).begin(home.serial, WORDS)
    assert home.factors(anna).unconfirmed(home.serial) == first
    home.clock.advance(600)
    home.phone.secret = first.secret
    for ask in (home.factors(anna).unconfirmed, lambda serial: home.factors(anna).confirm(serial, home.phone.code())):
        with pytest.raises(RecordNotFound, match="begin it again"):
            ask(home.serial)
    home.phone.secret = home.factors(anna).begin(home.serial, WORDS).secret
    assert len(home.kept()) == 1
    assert home.factors(anna).confirm(home.serial, home.phone.code())


def test_a_second_factor_is_set_up_by_whose_account_it_is_with_the_password_again(home):
    anna = home.log_in()
    with pytest.raises(AuthenticationFailed, match="current password"):
        home.factors(anna).begin(home.serial, "a wrong password")
    home.add("berta")
    berta = home.log_in(name="berta")
    for other in (berta, ADMIN):
        for ask in (
            lambda factors: factors.begin(anna.account_serial, WORDS),
            lambda factors: factors.confirm(anna.account_serial, "000000"),
            lambda factors: factors.unconfirmed(anna.account_serial),
        ):
            with pytest.raises(PermissionDenied):
                ask(home.factors(other))
    for ask in (
        lambda factors: factors.state(anna.account_serial),
        lambda factors: factors.remove(anna.account_serial),
        lambda factors: factors.holders(),
    ):
        with pytest.raises(PermissionDenied):
            ask(home.factors(berta))


def test_another_phone_takes_the_place_of_the_first_once_it_is_confirmed(home):
    codes = home.set_up()
    anna = home.log_in(codes[0])
    with pytest.raises(SecondFactorNeeded):
        home.factors(anna).begin(home.serial, WORDS)
    old = home.phone.secret
    new = home.factors(anna).begin(home.serial, WORDS, home.phone.code()).secret
    assert home.log_in(home.phone.next_code()).name == "anna"  # the first one still
    home.phone.secret = new
    again = home.factors(anna).confirm(home.serial, home.phone.code())
    home.phone.secret = old
    for code in (home.phone.next_code(), codes[1]):
        with pytest.raises(AuthenticationFailed):
            home.log_in(code)
    assert home.log_in(again[0]).name == "anna"
    assert len(home.kept()) == 1


@pytest.mark.parametrize("what", ["set up", "removed"])
def test_other_sessions_end_and_tokens_of_programs_go_on_when_a_factor_is_set_up_or_removed(home, what):
    codes = home.set_up() if what == "removed" else [None, None]
    other = home.accounts.log_in("anna", WORDS, codes[0])
    anna = home.log_in(codes[1])
    program = home.platform.accounts_for(anna).add_token(home.serial, "laptop")
    if what == "removed":
        home.factors(anna).remove(home.serial, WORDS, home.phone.code())
    else:
        home.phone.secret = home.factors(anna).begin(home.serial, WORDS).secret
        home.factors(anna).confirm(home.serial, home.phone.code())
    assert not home.is_in(other.text)
    assert home.is_in(program.text)
    with home.records.transaction(write=False) as transaction:
        tokens = transaction.find(PersonalToken, {"key": anna.token_key})
    assert len(tokens) == 1


def test_who_removes_their_own_factor_says_password_and_code(home):
    codes = home.set_up()
    anna = home.log_in(codes[0])
    for password, code, refusal in (
        (None, None, AuthenticationFailed),
        ("a wrong password", home.phone.code(), AuthenticationFailed),
        (WORDS, None, SecondFactorNeeded),
        (WORDS, "000000", AuthenticationFailed),
    ):
        with pytest.raises(refusal):
            home.factors(anna).remove(home.serial, password, code)
    home.factors(anna).remove(home.serial, WORDS, home.phone.code())
    assert home.log_in().name == "anna"
    with pytest.raises(RecordNotFound, match="has no second factor"):
        home.factors(anna).remove(home.serial, WORDS)


def test_an_administrator_removes_a_lost_factor_which_is_logged_and_ends_all_sessions(home):
    codes = home.set_up()
    session = home.accounts.log_in("anna", WORDS, codes[0])
    assert home.factors(ADMIN).holders() == {home.serial}
    home.factors(ADMIN).remove(home.serial)
    assert not home.is_in(session.text)
    assert home.log_in().name == "anna"
    with home.records.transaction(write=False) as transaction:
        titles = [(event.title, event.user) for event in transaction.find(ActivityEvent)]
    assert ("set up the second factor of anna", "anna") in titles
    assert ("removed the second factor of anna", "admin") in titles


def test_a_new_password_leaves_the_second_factor_as_it_is(home):
    home.set_up()
    home.accounts.change(home.serial, password="another password")
    with pytest.raises(SecondFactorNeeded):
        home.accounts.log_in("anna", "another password")
    assert home.accounts.log_in("anna", "another password", home.phone.code())


def test_a_server_that_was_composed_without_second_factors_says_so():
    home = Home(has_factors=False)
    home.add()
    home.platform.begin_serving()
    with pytest.raises(ConfigurationError, match="keeps no second factors"):
        home.factors(home.log_in()).begin(home.serial, WORDS)


def test_a_server_whose_secret_was_changed_seals_second_factors_anew_when_it_starts(home):
    home.set_up()
    (before,) = home.kept()
    changed = Home(secret=b"t" * 32, former=[SECRET], records=home.records, clock=home.clock)
    changed.platform.begin_serving()
    (after,) = home.kept()
    assert after.sealed_secret != before.sealed_secret
    changed.platform.begin_serving()
    assert home.kept() == [after]
    newest = Home(secret=b"t" * 32, records=home.records, clock=home.clock)
    assert newest.log_in(home.phone.code()).name == "anna"


def test_the_application_shows_whose_code_it_is_and_for_which_program(home):
    link = home.factors(home.log_in()).begin(home.serial, WORDS).link
    assert link.startswith("otpauth://totp/xfworker:anna?")
    assert "issuer=xfworker" in link


def test_each_use_of_a_factor_is_a_version_of_its_own(home):
    codes = home.set_up()
    versions = [home.kept()[0].occ_lock_version]
    for code in (codes[0], home.phone.next_code()):
        home.log_in(code)
        versions.append(home.kept()[0].occ_lock_version)
    assert versions == [2, 3, 4]


def test_one_factor_that_cannot_be_read_does_not_keep_the_others_under_a_former_secret(home):
    anna = Home(secret=b"a" * 32, records=home.records, clock=home.clock)
    anna.serial = home.serial
    anna.set_up()
    berta = home.add("berta")
    begun = home.factors(home.log_in(name="berta")).begin(berta, "berta-password")
    changed = Home(secret=b"t" * 32, former=[SECRET], records=home.records, clock=home.clock)
    changed.platform.begin_serving()
    assert begun.secret
    newest = Home(secret=b"t" * 32, records=home.records, clock=home.clock)
    assert newest.factors(newest.log_in(name="berta")).unconfirmed(berta) == begun


def test_the_log_says_what_was_done_and_how_many_sessions_that_ended(home):
    codes = home.set_up()
    home.accounts.log_in("anna", WORDS, codes[0])
    home.factors(ADMIN).remove(home.serial)
    with home.records.transaction(write=False) as transaction:
        payloads = [event.payload for event in transaction.find(ActivityEvent)]
    said = [(each["action"], each["sessions_ended"]) for each in payloads if "sessions_ended" in each]
    assert said == [("set up the second factor of", 0), ("removed the second factor of", 2)]


def test_what_is_only_read_about_second_factors_waits_for_nobody_who_writes():
    records = Doubtful()
    home = Home(records=records)
    home.add()
    anna = home.log_in()
    begun = home.factors(anna).begin(home.serial, WORDS)
    records.is_away = True
    assert home.factors(anna).unconfirmed(home.serial) == begun
    assert home.factors(anna).state(home.serial).recovery_codes_left == 0
    assert home.factors(ADMIN).holders() == frozenset()


def test_a_factor_of_another_secret_keeps_nobody_else_out_and_says_what_to_do(home):
    home.set_up()
    home.add("berta")
    other = Home(secret=b"t" * 32, records=home.records, clock=home.clock)
    other.platform.begin_serving()
    assert other.log_in(name="berta").name == "berta"
    with pytest.raises(ConfigurationError, match="remove-second-factor"):
        other.log_in(home.phone.code())
    with home.records.transaction(write=False) as transaction:
        (account,) = [one for one in other.accounts.all() if one.name == "anna"]
        assert transaction.find(SecondFactor, {"account_serial": account.serial})
    other.factors(ADMIN).remove(account.serial)
    assert other.log_in().name == "anna"
