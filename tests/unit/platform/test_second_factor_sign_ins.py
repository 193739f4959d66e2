"""Signing in with a second factor: asked for each time, good once, slowed down, and nothing gets round it."""

import threading

import pytest
import structlog

from tests.unit.platform.second_factor_home import WORDS, Home, pending_by_password
from xfworker.domain.bookkeeping import Account
from xfworker.domain.errors import (
    AuthenticationFailed,
    SecondFactorMissing,
    SecondFactorNeeded,
    TooManyRequests,
)
from xfworker.domain.records import ActivityEvent
from xfworker.services.platform.principal import ADMIN
from xfworker.services.platform.signing_in import PendingSignIn


@pytest.fixture
def home():
    made = Home()
    made.add()
    return made


def test_a_password_alone_signs_nobody_in_who_has_a_second_factor(home):
    home.set_up()
    with pytest.raises(SecondFactorNeeded, match="or a recovery code"):
        home.log_in()
    assert home.log_in(home.phone.code()).name == "anna"


def test_a_wrong_password_is_refused_alike_whether_there_is_a_second_factor_or_not(home):
    home.set_up()
    home.add("berta")
    said = []
    for name in ("anna", "berta", "nobody"):
        for code in (None, "000000"):
            with pytest.raises(AuthenticationFailed) as caught:
                home.accounts.log_in(name, "a wrong password", code)
            assert not isinstance(caught.value, SecondFactorNeeded)
            said.append(str(caught.value))
    assert len(set(said)) == 1


def test_a_code_is_good_once_and_for_30_seconds(home):
    home.set_up()
    code = home.phone.code()
    home.log_in(code)
    with pytest.raises(AuthenticationFailed, match="used already"):
        home.log_in(code)
    unused = home.phone.next_code()
    home.clock.advance(30)
    for other in (
        unused,
        home.phone.code(1),
        home.phone.code(-2),
        "",
        "x",
        "٠٠٥٩٢٤",
        "\ud800",
        f"{home.phone.code()}0",
    ):
        with pytest.raises(AuthenticationFailed):
            home.log_in(other)
    assert home.log_in(f" {home.phone.code()[:3]} {home.phone.code()[3:]} ").name == "anna"


def test_the_code_that_confirmed_the_set_up_signs_nobody_in(home):
    anna = home.log_in()
    home.phone.secret = home.factors(anna).begin(home.serial, WORDS).secret
    home.factors(anna).confirm(home.serial, home.phone.code())
    with pytest.raises(AuthenticationFailed, match="used already"):
        home.log_in(home.phone.code())


def test_of_many_who_bring_one_code_at_once_one_comes_in(home):
    home.set_up()
    code, outcomes, start = home.phone.code(), [], threading.Barrier(6)

    def come():
        start.wait()
        try:
            outcomes.append(home.log_in(code).name)
        except AuthenticationFailed:
            outcomes.append(None)

    threads = [threading.Thread(target=come) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes, key=str) == [None] * 5 + ["anna"]


def test_each_recovery_code_stands_for_the_application_once(home):
    codes = home.set_up()
    assert len(set(codes)) == 10
    for typed in (codes[0], codes[1].upper().replace("-", " ")):
        assert home.log_in(typed).name == "anna"
        with pytest.raises(AuthenticationFailed):
            home.log_in(typed)
    assert home.factors(ADMIN).state(home.serial).recovery_codes_left == 8


def test_neither_secret_nor_recovery_codes_are_in_the_records_or_in_the_logs(home):
    with structlog.testing.capture_logs() as logged:
        codes = home.set_up()
        code = home.phone.code()
        home.log_in(code)
        with pytest.raises(AuthenticationFailed) as refused:
            home.log_in("123123")
        home.log_in(codes[0])
        link = home.platform.page_sessions().link(home.log_in(codes[1]))
        pending = home.platform.page_sessions().begin(link.path.removeprefix("/link/"))
    with home.records.transaction(write=False) as transaction:
        events = transaction.find(ActivityEvent)
    (factor,) = home.kept()
    everything = f"{logged} {events} {refused.value} {factor.sealed_secret} {factor.recovery_hashes} {factor} {pending}"
    for secret in (home.phone.secret, code, "123123", pending.text, *codes, *(one.replace("-", "") for one in codes)):
        assert secret not in everything
    assert factor.sealed_secret not in repr(factor)


def test_guesses_at_codes_are_slowed_down_and_a_right_password_alone_does_not_free_the_way(home):
    home.set_up()
    for _ in range(10):
        with pytest.raises(SecondFactorNeeded):
            home.log_in(address="10.0.0.9")
        with pytest.raises(AuthenticationFailed):
            home.log_in("000000", address="10.0.0.9")
    with pytest.raises(TooManyRequests):
        home.log_in("000000", address="10.0.0.9")
    with pytest.raises(TooManyRequests):
        home.log_in(home.phone.code(), address="10.0.0.9")
    home.clock.advance(60)
    assert home.log_in(home.phone.code(), address="10.0.0.9").name == "anna"


def test_guesses_at_the_second_step_are_counted_with_those_at_the_first(home):
    home.set_up()
    pending = pending_by_password(home)
    for _ in range(10):
        with pytest.raises(AuthenticationFailed):
            home.platform.signing_in().with_code(pending.text, "000000", address="")
    with pytest.raises(TooManyRequests):
        home.platform.signing_in().with_code(pending.text, home.phone.code(), address="")


def test_a_link_made_by_a_token_of_a_program_does_not_get_round_the_second_factor(home):
    home.set_up()
    program = home.accounts.add_token(home.serial, "laptop").text
    sessions = home.platform.page_sessions()
    link = sessions.link(home.platform.authenticate(program))
    pending = sessions.begin(link.path.removeprefix("/link/"))
    assert isinstance(pending, PendingSignIn)
    assert not home.is_in(pending.text)
    with pytest.raises(AuthenticationFailed):
        home.platform.verify_file_token(pending.text)
    session = home.platform.signing_in().with_code(pending.text, home.phone.code(), address="10.0.0.6")
    assert home.is_in(session.text)
    assert home.is_in(program)
    assert next((entry.by, entry.address) for entry in home.accounts.sign_ins(home.serial)) == (
        "link and code",
        "10.0.0.6",
    )


def test_a_link_of_a_token_that_ends_begins_a_session_that_ends_with_it(home):
    home.set_up()
    program = home.accounts.add_token(home.serial, "laptop", days=1)
    sessions = home.platform.page_sessions()
    link = sessions.link(home.platform.authenticate(program.text))
    pending = sessions.begin(link.path.removeprefix("/link/"))
    session = home.platform.signing_in().with_code(pending.text, home.phone.code(), address="")
    assert session.record.expires_at == program.record.expires_at


def test_the_owner_of_the_server_comes_in_by_a_link_without_a_second_factor():
    home = Home("all")
    sessions = home.platform.page_sessions()
    session = sessions.begin(sessions.link(ADMIN).path.removeprefix("/link/"))
    assert home.platform.authenticate(session.text).is_admin


@pytest.mark.parametrize("change", [{"password": "another password"}, {"disabled": True}])
def test_a_sign_in_that_waits_for_its_code_is_void_once_the_account_is_changed(home, change):
    home.set_up()
    pending = pending_by_password(home)
    home.accounts.change(home.serial, **change)
    with pytest.raises(AuthenticationFailed, match="begin it again"):
        home.platform.signing_in().with_code(pending.text, home.phone.code(), address="")


def test_a_sign_in_waits_ten_minutes_for_its_code(home):
    home.set_up()
    pending = pending_by_password(home)
    home.clock.advance(600)
    for text in (pending.text, "", "x.y.z", home.platform.admin_token()):
        with pytest.raises(AuthenticationFailed, match="begin it again"):
            home.platform.signing_in().with_code(text, home.phone.code(), address="")


@pytest.mark.parametrize(
    ("demanded", "administrator", "is_demanded"),
    [
        ("nobody", True, False),
        ("administrators", False, False),
        ("administrators", True, True),
        ("all", False, True),
    ],
)
def test_a_server_demands_a_second_factor_of_nobody_of_administrators_or_of_all(demanded, administrator, is_demanded):
    home = Home(demanded)
    home.add(administrator=administrator)
    assert home.factors(ADMIN).state(home.serial).is_demanded is is_demanded
    if not is_demanded:
        assert home.log_in().name == "anna"
        return
    with pytest.raises(SecondFactorMissing, match="sign in on its page"):
        home.log_in()
    with pytest.raises(SecondFactorMissing):
        home.log_in("000000")


def test_who_has_to_have_a_second_factor_sets_it_up_at_the_sign_in():
    home = Home("all")
    home.add()
    program = home.accounts.add_token(home.serial, "laptop").text
    pending, signing_in = pending_by_password(home), home.platform.signing_in()
    assert pending.sets_up
    begun = signing_in.set_up(pending.text)
    assert signing_in.set_up(pending.text) == begun
    home.phone.secret = begun.secret
    with pytest.raises(AuthenticationFailed, match="not the present code"):
        signing_in.with_first_code(pending.text, "000000", address="")
    made = signing_in.with_first_code(pending.text, home.phone.code(), address="10.0.0.5")
    assert home.is_in(made.session.text)
    assert home.is_in(program)
    assert [(entry.by, entry.succeeded) for entry in home.accounts.sign_ins(home.serial)] == [
        ("password and code", True)
    ]
    assert made.recovery_codes[0] not in repr(made)
    for ask in (
        lambda: signing_in.set_up(pending.text),
        lambda: signing_in.with_first_code(pending.text, home.phone.next_code(), address=""),
    ):
        with pytest.raises(AuthenticationFailed, match="begin it again"):
            ask()
    assert home.log_in(made.recovery_codes[0]).name == "anna"
    home.factors(ADMIN).remove(home.serial)
    with pytest.raises(SecondFactorMissing):
        home.log_in()


def test_who_follows_a_link_sets_up_no_second_factor_with_it():
    home = Home("all")
    home.add()
    sessions = home.platform.page_sessions()
    link = sessions.link(home.platform.authenticate(home.accounts.add_token(home.serial, "laptop").text))
    with pytest.raises(SecondFactorMissing, match="name and password"):
        sessions.begin(link.path.removeprefix("/link/"))
    assert home.kept() == []


def test_a_factor_that_is_removed_while_its_code_is_awaited_and_demanded_has_the_sign_in_begun_again():
    home = Home("all")
    home.add()
    pending, signing_in = pending_by_password(home), home.platform.signing_in()
    home.phone.secret = signing_in.set_up(pending.text).secret
    signing_in.with_first_code(pending.text, home.phone.code(), address="")
    waiting = pending_by_password(home)
    home.factors(ADMIN).remove(home.serial)
    with pytest.raises(AuthenticationFailed, match="begin it again"):
        signing_in.with_code(waiting.text, home.phone.next_code(), address="")
    with pytest.raises(AuthenticationFailed, match="no set-up to be confirmed"):
        signing_in.with_first_code(waiting.text, home.phone.code(), address="")


def test_tokens_of_programs_go_on_where_a_second_factor_is_demanded():
    home = Home()
    home.add()
    token = home.accounts.add_token(home.serial, "laptop").text
    strict = Home("all", records=home.records, clock=home.clock)
    strict.platform.signer = home.platform.signer
    assert strict.platform.authenticate(token).name == "anna"


def test_a_sign_in_that_waits_for_its_code_is_void_where_the_records_know_no_such_account(home):
    home.set_up()
    pending = pending_by_password(home)
    with home.records.transaction() as transaction:
        transaction.delete(Account, {"serial": home.serial})
    with pytest.raises(AuthenticationFailed, match="begin it again"):
        home.platform.signing_in().with_code(pending.text, home.phone.code(), address="")


def test_a_first_factor_that_is_set_up_at_the_sign_in_ends_the_sessions_of_before_and_what_failed_counts_no_more():
    before = Home()
    before.add()
    session = before.accounts.log_in("anna", WORDS).text
    home = Home("all", records=before.records, clock=before.clock)
    home.serial = before.serial
    assert before.is_in(session)
    pending, signing_in = pending_by_password(home), home.platform.signing_in()
    home.phone.secret = signing_in.set_up(pending.text).secret
    for _ in range(9):
        signing_in.throttle.failed("anna", "stranger")
    made = signing_in.with_first_code(pending.text, home.phone.code(), address="home")
    assert (before.is_in(session), home.is_in(made.session.text)) == (False, True)
    for _ in range(9):
        signing_in.throttle.failed("anna", "stranger")
    signing_in.throttle.require_turn("anna", "elsewhere")


def test_a_link_may_be_followed_by_a_recovery_code_and_a_wrong_code_is_listed_as_refused(home):
    codes = home.set_up()
    sessions = home.platform.page_sessions()
    program = home.platform.accounts_for(home.log_in(codes[0])).add_token(home.serial, "laptop").text
    link = sessions.link(home.platform.authenticate(program))
    pending = sessions.begin(link.path.removeprefix("/link/"))
    with pytest.raises(AuthenticationFailed):
        home.platform.signing_in().with_code(pending.text, "000000", address="")
    home.platform.signing_in().with_code(pending.text, codes[1], address="")
    listed = [(entry.by, entry.succeeded) for entry in home.accounts.sign_ins(home.serial)[:2]]
    assert listed == [("link and recovery code", True), ("link and code", False)]
