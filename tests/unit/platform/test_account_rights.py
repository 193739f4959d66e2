"""Accounts: who may do what to which of them, what lasts how long, and what the log says of it."""

import pytest

from tests.unit.platform.test_accounts import House
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.bookkeeping import Account, PersonalToken, ProjectMember
from xfworker.domain.errors import (
    AuthenticationFailed,
    InvalidContent,
    InvalidRecord,
    PermissionDenied,
    RecordConflict,
    RecordNotFound,
)
from xfworker.domain.records import ActivityEvent, Project
from xfworker.services.platform.principal import ADMIN, Principal, PrincipalKind


@pytest.fixture
def house():
    return House()


@pytest.fixture
def anna(house):
    return house.platform.accounts_for(house.person("anna"))


@pytest.fixture
def berta(house):
    return house.platform.accounts_for(house.person("berta"))


def own(accounts):
    return accounts.principal.account_serial


def logged(house):
    """List what the log says of accounts: the action, of what, and what belongs to it."""
    with house.records.transaction(write=False) as transaction:
        events = [event.payload for event in transaction.find(ActivityEvent) if "action" in event.payload]
    also = [{key: event[key] for key in event.keys() - {"action", "record", "serial"}} for event in events]
    return [(event["action"], event["record"], more) for event, more in zip(events, also, strict=True)]


def test_what_is_for_administrators_says_what_others_may_not(anna, berta):
    for ask, said in (
        (lambda: anna.add("carla", "carla-password"), "make an account"),
        (lambda: anna.change(own(berta), disabled=True), "change this account"),
        (lambda: anna.change(own(anna), administrator=True, current_password="anna-password"), "change this account"),
        (lambda: anna.change(own(anna), disabled=False, current_password="anna-password"), "change this account"),
        (lambda: anna.add_token(own(berta), "laptop"), "make tokens for others"),
        (lambda: anna.add_worker_token("bench"), "make tokens for workers"),
        (lambda: anna.end_sessions(own(berta)), "end sessions of others"),
        (lambda: anna.sign_ins(own(berta)), "see the sign-ins of others"),
    ):
        with pytest.raises(PermissionDenied, match=rf"^anna may not {said}; that is for: admin$"):
            ask()


@pytest.mark.parametrize("current", [None, "", "wrong"])
def test_a_new_password_is_set_by_whoever_knows_the_present_one(house, anna, current):
    with pytest.raises(AuthenticationFailed):
        anna.change(own(anna), password="a new password", current_password=current)
    assert house.log_in("anna", "anna-password").name == "anna"
    changed = anna.change(own(anna), password="a new password", current_password="anna-password")
    assert changed.occ_lock_version == 2
    assert house.log_in("anna", "a new password").name == "anna"


def test_names_of_what_is_no_account_are_taken(house):
    for name in ("admin", "Server", "job", "WORKER"):
        with pytest.raises(InvalidRecord, match="cannot be an account's name"):
            house.accounts.add(name, "some-password")


def test_a_name_that_is_taken_is_refused_with_the_account_that_has_it_and_without_its_password(house):
    account = house.accounts.add("anna", "anna-password", administrator=True)
    with pytest.raises(RecordConflict) as caught:
        house.accounts.add("ANNA", "other-password")
    assert caught.value.current == {"serial": account.serial, "name": "anna", "administrator": True}


def test_everybody_sees_their_own_account_and_tokens_and_administrators_all(house, anna, berta):
    for accounts in (anna, berta):
        accounts.add_token(own(accounts), "laptop")
        assert [account.serial for account in accounts.all()] == [own(accounts)]
        assert {token.account_serial for token in accounts.tokens()} == {own(accounts)}
        assert {token.account_serial for token in accounts.tokens(own(berta))} == {own(accounts)}
    assert [account.name for account in house.accounts.all()] == ["anna", "berta"]
    assert {token.account_serial for token in house.accounts.tokens()} == {own(anna), own(berta)}
    worker = house.platform.authenticate(house.accounts.add_worker_token("bench").text)
    nobody = house.platform.accounts_for(house.admin)
    nobody.principal = worker
    assert (nobody.all(), nobody.tokens()) == ([], [])


def test_a_token_is_good_for_up_to_a_hundred_years_and_no_longer_than_the_one_that_asks_for_it(house, anna):
    for days in (-1, 36500.5, float("nan")):
        with pytest.raises(InvalidContent, match="give a number up to 36500"):
            house.accounts.add_token(own(anna), "laptop", days=days)
    assert house.accounts.add_token(own(anna), "laptop", days=36500).record.expires_at is not None
    assert house.accounts.add_token(own(anna), "laptop", days=0.5).record.expires_at is not None
    expires_at = anna.principal.expires_at
    days = (expires_at - house.clock.now()).total_seconds() / 86_400
    assert anna.add_token(own(anna), "laptop", days=days).record.expires_at == expires_at
    with pytest.raises(InvalidContent, match="cannot outlive the one that asks for it"):
        anna.add_token(own(anna), "laptop", days=days + 1)
    assert anna.add_token(own(anna), "laptop").record.expires_at == expires_at


def test_a_token_is_for_an_account_that_is_there(house):
    with pytest.raises(RecordNotFound):
        house.accounts.add_token(99, "laptop")
    with house.records.transaction(write=False) as transaction:
        assert transaction.find(PersonalToken) == []


def test_a_project_is_shared_and_unshared_by_whose_it_is_and_each_is_logged_once(house, anna, berta):
    project = house.server(anna.principal).create(Project(name="bones")).serial
    carla = house.person("carla").account_serial
    for accounts in (berta, house.platform.accounts_for(house.log_in("carla", "carla-password"))):
        for ask in (lambda a=accounts: a.share(project, carla), lambda a=accounts: a.unshare(project, own(anna))):
            with pytest.raises(RecordNotFound):
                ask()
    member, name = anna.share(project, "berta")
    assert (member.account_serial, name) == (own(berta), "berta")
    assert anna.share(project, own(berta)) == (member, name)
    with pytest.raises(RecordNotFound, match="no account 'dora'"):
        anna.share(project, "dora")
    for ask in (
        lambda: berta.share(project, carla),
        lambda: berta.share(project, "nobody"),  # nor do others hear which accounts there are
        lambda: berta.unshare(project, own(berta)),
    ):
        with pytest.raises(PermissionDenied, match="it is not theirs"):
            ask()
    assert [(one.account_serial, who) for one, who in berta.members(project)] == [
        (own(anna), "anna"),
        (own(berta), "berta"),
    ]
    anna.unshare(project, own(anna))  # who owns it keeps it
    anna.unshare(project, own(berta))
    anna.unshare(project, own(berta))
    with pytest.raises(RecordNotFound):
        berta.members(project)
    assert [who for _, who in anna.members(project)] == ["anna"]
    shared = [(action, more) for action, kind, more in logged(house) if kind == "projects" and "account" in more]
    assert shared == [("shared", {"account": own(berta)}), ("unshared", {"account": own(berta)})]


class MeanwhileRecords(MemoryRecordStore):
    """Records in memory, where others do something right before the next transaction that writes begins."""

    def __init__(self):
        super().__init__()
        self.meanwhile = []

    def transaction(self, *, write=True, **options):
        if write and self.meanwhile:
            self.meanwhile.pop()()
        return super().transaction(write=write, **options)


@pytest.fixture
def busy_house():
    return House(MeanwhileRecords())


def test_of_two_who_make_an_account_of_one_name_at_once_one_is_refused(busy_house):
    busy_house.records.meanwhile.append(lambda: busy_house.accounts.add("Anna", "first-password"))
    with pytest.raises(RecordConflict, match="there is an account Anna already"):
        busy_house.accounts.add("anna", "second-password")
    assert [account.name for account in busy_house.accounts.all()] == ["Anna"]


def test_of_two_changes_of_an_account_at_once_neither_is_lost(busy_house):
    anna = busy_house.accounts.add("anna", "anna-password").serial
    busy_house.records.meanwhile.append(lambda: busy_house.accounts.change(anna, disabled=True))
    after = busy_house.accounts.change(anna, administrator=True)
    assert (after.disabled, after.administrator, after.occ_lock_version) == (True, True, 3)


def test_neither_workers_nor_scripts_share_projects_or_make_tokens(house, anna):
    project = house.server(anna.principal).create(Project(name="bones")).serial
    worker = house.platform.authenticate(house.accounts.add_worker_token("bench").text)
    accounts = house.platform.accounts_for(house.admin)
    accounts.principal = worker
    for ask in (lambda: accounts.share(project, "anna"), lambda: accounts.unshare(project, own(anna))):
        with pytest.raises(PermissionDenied, match="share projects"):
            ask()
    with pytest.raises(PermissionDenied):
        accounts.add_token(own(anna), "laptop")
    with house.records.transaction(write=False) as transaction:
        assert len(transaction.find(ProjectMember)) == 1


def test_the_log_says_what_was_done_to_accounts_and_tokens(house):
    serial = house.accounts.add("anna", "anna-password").serial
    house.accounts.change(serial, administrator=True, disabled=False)
    token = house.accounts.add_token(serial, "laptop" * 100).record
    house.accounts.revoke(token.serial)
    house.accounts.log_in("anna", "anna-password")
    house.accounts.end_sessions(serial)
    assert len(token.name) == 200
    assert [(action, kind, more) for action, kind, more in logged(house) if action != "signed in"] == [
        ("created", Account.collection, {}),
        ("changed", Account.collection, {"fields": ["administrator", "disabled"]}),
        ("created", PersonalToken.collection, {}),
        ("revoked", PersonalToken.collection, {}),
        ("ended the sessions of", Account.collection, {"sessions": 1}),
    ]


def test_a_caller_is_who_its_token_says_in_the_words_that_tokens_have_since_the_first_version(house, anna):
    verify = house.platform.signer.verify
    job = Principal(
        kind=PrincipalKind.JOB,
        name="job 7",
        job_serial=7,
        workflow_serial=3,
        project_serial=2,
        attempt=4,
        token_key="k",
    )
    worker = house.platform.authenticate(house.accounts.add_worker_token("bench").text)
    assert verify(house.platform.admin_token())["kind"] == "admin"
    assert job.claims() == {"kind": "job", "job": 7, "workflow": 3, "project": 2, "attempt": 4}
    assert worker.claims() == {"kind": "worker", "key": worker.token_key}
    assert anna.principal.claims() == {"kind": "user", "key": anna.principal.token_key}
    assert [each.identity for each in (ADMIN, anna.principal, worker, job)] == [
        "admin", f"account:{own(anna)}", f"token:{worker.token_key}", "job:7",
    ]  # fmt: skip
    assert worker.token_key not in repr(worker)
    with pytest.raises(PermissionDenied, match=r"job 7 may not read this; that is for: admin, user$"):
        job.require(PrincipalKind.USER, to="read this")
