"""Who signed in or tried to, when and from where: kept, shown to whose account it is, and in the server's log."""

import hashlib

import pytest
import structlog

from tests.unit.platform.test_accounts import House
from xfworker.domain.errors import (
    AuthenticationFailed,
    InvalidRecord,
    PermissionDenied,
    RecordNotFound,
    TooManyRequests,
)
from xfworker.domain.records import ActivityEvent

WORDS = "anna-password"


@pytest.fixture
def house():
    made = House()
    made.serial = made.accounts.add("anna", WORDS).serial
    return made


def refused(house, name, password, address="10.0.0.9"):
    with pytest.raises((AuthenticationFailed, TooManyRequests)):
        house.accounts.log_in(name, password, address=address)


def test_successes_and_failures_are_listed_the_newest_first(house):
    house.accounts.log_in("anna", WORDS, address="10.0.0.5")
    began = house.clock.now()
    house.clock.advance(60)
    refused(house, "anna", "a guess that is wrong")
    anna = house.platform.accounts_for(house.log_in("anna", WORDS))
    listed = anna.sign_ins(house.serial)
    assert [(entry.succeeded, entry.address, entry.by) for entry in listed] == [
        (True, "", "password"),
        (False, "10.0.0.9", "password"),
        (True, "10.0.0.5", "password"),
    ]
    assert listed[-1].at == began
    assert house.accounts.sign_ins(house.serial) == listed


def test_a_link_that_is_followed_and_a_disabled_account_are_in_the_list(house):
    sessions = house.platform.page_sessions()
    link = sessions.link(house.log_in("anna", WORDS))
    sessions.begin(link.path.removeprefix("/link/"), address="10.0.0.6")
    house.accounts.change(house.serial, disabled=True)
    refused(house, "anna", WORDS)
    listed = house.accounts.sign_ins(house.serial)
    assert [(entry.by, entry.succeeded) for entry in listed[:2]] == [("password", False), ("link", True)]


def test_nobody_sees_the_sign_ins_of_others_but_administrators(house):
    berta = house.person("berta")
    with pytest.raises(PermissionDenied, match="see the sign-ins of others"):
        house.platform.accounts_for(berta).sign_ins(house.serial)
    with pytest.raises(RecordNotFound):
        house.accounts.sign_ins(999)
    house.accounts.log_in("anna", WORDS)
    assert house.server(berta).find(ActivityEvent, {"user": "anna"}) == []


def test_sign_ins_of_long_ago_are_not_listed(house):
    house.accounts.log_in("anna", WORDS)
    house.clock.advance(91 * 24 * 3600)
    assert house.accounts.sign_ins(house.serial) == []


def test_the_servers_log_has_each_try_and_no_secret(house):
    with structlog.testing.capture_logs() as events:
        house.accounts.log_in("anna", WORDS, address="10.0.0.5")
        for _ in range(12):
            refused(house, "a secret typed as a name", "hunter2hunter2")
        refused(house, "anna", "hunter2hunter2", address="10.0.0.10")
    tries = [(event["event"], event.get("account"), event["address"]) for event in events]
    assert tries[0] == ("xfworker.signed_in", "anna", "10.0.0.5")
    assert tries[1] == ("xfworker.sign_in_refused", None, "10.0.0.9")
    assert tries[-2] == ("xfworker.sign_in_slowed_down", None, "10.0.0.9")
    assert tries[-1] == ("xfworker.sign_in_refused", "anna", "10.0.0.10")
    everything = f"{events} {house.server(house.admin).find(ActivityEvent)}"
    assert "hunter2" not in everything
    assert "a secret typed" not in everything


def test_names_that_nobody_has_do_not_fill_the_database(house):
    for _ in range(3):
        refused(house, "nobody", "hunter2hunter2")
    with house.records.transaction(write=False) as transaction:
        assert transaction.find(ActivityEvent, {"type": "SignIn"}) == []


def test_no_caller_writes_a_sign_in_that_was_none(house):
    for principal in (house.log_in("anna", WORDS), house.admin):
        with pytest.raises(InvalidRecord, match="written by the server alone"):
            house.server(principal).create(ActivityEvent(title="x", type="SignIn"))


def test_a_name_that_nobody_has_is_noted_once_without_the_name(house):
    refused(house, "nobody", "hunter2hunter2", address="1" * 70)
    with house.records.transaction(write=False) as transaction:
        assert transaction.entry("failed-sign-in") == {"address": "1" * 64}


def test_a_try_is_an_event_that_says_how_it_went(house):
    with structlog.testing.capture_logs() as logged:
        house.accounts.log_in("anna", WORDS, address="1" * 70)
        refused(house, "anna", "hunter2hunter2", address="")
    events = house.server(house.admin).find(ActivityEvent)
    said = [(event.title, event.level, event.payload) for event in events if event.type == "SignIn"]
    assert said == [
        (
            f"anna signed in by password from {'1' * 64}",
            "INFO",
            {"address": "1" * 64, "by": "password", "succeeded": True},
        ),
        (
            "anna was refused by password from this server",
            "WARNING",
            {"address": "", "by": "password", "succeeded": False},
        ),
    ]
    assert [(event["event"], event["log_level"]) for event in logged] == [
        ("xfworker.signed_in", "info"),
        ("xfworker.sign_in_refused", "warning"),
    ]


def test_a_session_says_by_what_it_began(house):
    house.accounts.log_in("anna", WORDS)
    sessions = house.platform.page_sessions()
    sessions.begin(sessions.link(house.log_in("anna", WORDS)).path.removeprefix("/link/"), address="")
    assert [token.name for token in house.accounts.tokens(house.serial)] == ["login", "login", "page"]


@pytest.mark.parametrize(("seconds", "works"), [(599, True), (600, False)])
def test_a_link_works_for_ten_minutes_once_and_is_neither_kept_nor_shown(house, seconds, works):
    sessions = house.platform.page_sessions()
    link = sessions.link(house.admin)
    code = link.path.removeprefix("/link/")
    assert code not in repr(link)
    with house.records.transaction(write=False) as transaction:
        assert transaction.entry(f"page-link:{code}") is None
        assert transaction.entry(f"page-link:{hashlib.sha256(code.encode()).hexdigest()}")["account"] is None
    house.clock.advance(seconds)
    if works:
        begun = sessions.begin(code)
        assert house.platform.authenticate(begun.text).is_admin
        assert (begun.record.name, begun.record.address) == ("page", "")
        with house.records.transaction(write=False) as transaction:
            [event] = transaction.find(ActivityEvent, {"type": "SignIn"})
        assert (event.user, event.payload) == ("admin", {"address": "", "by": "link", "succeeded": True})
    with pytest.raises(AuthenticationFailed, match="used already or has expired"):
        sessions.begin(code)
