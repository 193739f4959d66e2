"""Accounts: who gets in, what they see, what they may hand on."""

import pytest

from xfworker.adapters.argon2.password_hasher import Argon2PasswordHasher
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.domain.bookkeeping import Account
from xfworker.domain.change import Change
from xfworker.domain.errors import (
    AuthenticationFailed,
    InvalidContent,
    InvalidRecord,
    PermissionDenied,
    RecordConflict,
    RecordNotFound,
)
from xfworker.domain.records import ActivityEvent, DependencyPackage, Project, Worker, Workflow
from xfworker.services.platform.platform import Platform
from xfworker.testing.contracts.worlds import Setting


class House:
    def __init__(self, records=None):
        self.clock = ManualClock()
        hasher = Argon2PasswordHasher(memory_kib=64, rounds=1)
        self.records = records or MemoryRecordStore()
        self.platform = Platform(self.records, self.clock, MemoryTokenSigner(self.clock), hasher=hasher)
        self.admin = self.platform.authenticate(self.platform.admin_token())
        self.accounts = self.platform.accounts_for(self.admin)

    def person(self, name, **also):
        self.accounts.add(name, f"{name}-password", **also)
        return self.log_in(name, f"{name}-password")

    def log_in(self, name, password):
        return self.platform.authenticate(self.accounts.log_in(name, password).text)

    def server(self, principal):
        return self.platform.server_for(principal)


@pytest.fixture
def house():
    return House()


def test_a_password_is_kept_as_a_hash_only(house):
    account = house.accounts.add("anna", "correct horse")
    assert account.password_hash.startswith("$argon2id$")
    assert "correct horse" not in repr(account)
    assert account.password_hash not in repr(account)
    with house.records.transaction(write=False) as transaction:
        assert "correct horse" not in transaction.get(Account, account.serial).password_hash


@pytest.mark.parametrize(
    "password", ["        ", "pässwört", "骨骨骨骨骨骨骨骨", "x" * 64, "Trailing space ", "x" * 1024]
)
def test_a_password_has_8_characters_at_least_and_any_of_them(house, password):
    house.accounts.add("anna", password)
    assert house.log_in("anna", password).name == "anna"
    for other in (password[:-1], password + " ", password.swapcase() + "x"):
        with pytest.raises(AuthenticationFailed):
            house.log_in("anna", other)
        house.clock.advance(1000)
    for refused in ("", "x" * 7, "x" * 1025):
        with pytest.raises(InvalidRecord, match="8 to 1024 characters"):
            house.accounts.add("bert", refused)


@pytest.mark.parametrize(("name", "password"), [("anna", "wrong password"), ("nobody", "anna-password"), ("anna", "")])
def test_a_wrong_login_does_not_say_what_is_wrong(house, name, password):
    house.person("anna")
    with pytest.raises(AuthenticationFailed, match="do not belong together"):
        house.log_in(name, password)


@pytest.mark.parametrize("name", ["", "admin", "job", "a b", "../x", "x" * 65, "-a"])
def test_names_that_mislead_are_refused(house, name):
    with pytest.raises(InvalidRecord):
        house.accounts.add(name, "long enough")


def test_a_name_is_given_once(house):
    house.person("anna")
    with pytest.raises(RecordConflict):
        house.accounts.add("anna", "another one")


def test_people_see_their_own_projects_and_those_shared_with_them(house):
    anna, berta = house.person("anna"), house.person("berta")
    hers = house.server(anna).create(Project(name="hers"))
    workflow = house.server(anna).create(Workflow(project_serial=hers.serial))
    other = house.server(house.admin).create(Project(name="other"))
    assert house.server(anna).find(Project) == [hers]
    assert house.server(berta).find(Project) == []
    with pytest.raises(RecordNotFound):
        house.server(berta).get(Workflow, workflow.serial)
    with pytest.raises(RecordNotFound):
        house.platform.accounts_for(berta).share(hers.serial, berta.account_serial)
    house.platform.accounts_for(anna).share(hers.serial, berta.account_serial)
    assert house.server(berta).find(Project) == [hers]
    assert house.server(berta).update(Workflow, workflow.serial, Change(values={"/name": "ours"})).name == "ours"
    with pytest.raises(PermissionDenied):
        house.platform.accounts_for(berta).share(hers.serial, berta.account_serial)
    house.platform.accounts_for(anna).unshare(hers.serial, berta.account_serial)
    house.platform.accounts_for(anna).unshare(hers.serial, anna.account_serial)
    assert house.server(berta).find(Project) == []
    assert house.server(anna).find(Project) == [hers]
    assert house.server(house.admin).find(Project) == [hers, other]


def test_people_may_not_change_what_runs_on_workers(house):
    anna = house.person("anna")
    with pytest.raises(PermissionDenied):
        house.server(anna).create(DependencyPackage(name="Evil", install="curl"))
    with pytest.raises(PermissionDenied):
        house.server(anna).create(Worker(name="w"))


def test_people_do_not_read_about_others_in_the_activity_log(house):
    anna, berta = house.person("anna"), house.person("berta")
    house.server(anna).create(Project(name="hers"))
    events = house.server(anna).find(ActivityEvent)
    assert events
    assert {event.user for event in events} == {"anna"}
    assert house.server(berta).find(ActivityEvent) == []


def test_an_administrator_with_an_account_sees_all(house):
    house.server(house.admin).create(Project(name="any"))
    chief = house.person("chief", administrator=True)
    assert len(house.server(chief).find(Project)) == 1
    house.platform.accounts_for(chief).add("new", "long enough")


def test_who_is_not_an_administrator_makes_no_accounts(house):
    anna = house.platform.accounts_for(house.person("anna"))
    with pytest.raises(PermissionDenied):
        anna.add("berta", "long enough")
    with pytest.raises(PermissionDenied):
        anna.change(anna.principal.account_serial, administrator=True)
    with pytest.raises(PermissionDenied):
        anna.add_worker_token("bench")
    assert [account.name for account in anna.all()] == ["anna"]


def test_a_new_password_ends_all_tokens(house):
    anna = house.person("anna")
    token = house.platform.accounts_for(anna).add_token(anna.account_serial, "laptop")
    house.platform.accounts_for(anna).change(
        anna.account_serial, password="something new", current_password="anna-password"
    )
    with pytest.raises(AuthenticationFailed, match="revoked"):
        house.platform.authenticate(token.text)
    with pytest.raises(AuthenticationFailed):
        house.log_in("anna", "anna-password")
    assert house.log_in("anna", "something new").name == "anna"


def test_a_disabled_account_is_out_at_once(house):
    anna = house.person("anna")
    token = house.platform.accounts_for(anna).add_token(anna.account_serial, "laptop")
    house.accounts.change(anna.account_serial, disabled=True)
    with pytest.raises(AuthenticationFailed):
        house.platform.authenticate(token.text)
    with pytest.raises(AuthenticationFailed):
        house.log_in("anna", "anna-password")


def test_no_token_that_is_made_for_a_disabled_account_lets_it_in(house):
    anna = house.person("anna")
    house.accounts.change(anna.account_serial, disabled=True)
    token = house.accounts.add_token(anna.account_serial, "laptop")
    with pytest.raises(AuthenticationFailed, match="anna is disabled"):
        house.platform.authenticate(token.text)
    house.accounts.change(anna.account_serial, disabled=False)
    assert house.platform.authenticate(token.text).name == "anna"


def test_tokens_end_by_time_and_by_being_revoked(house):
    anna = house.person("anna")
    hers = house.platform.accounts_for(anna)
    short, long = hers.add_token(anna.account_serial, "a", days=1), hers.add_token(anna.account_serial, "b")
    assert long.text not in repr(long)
    house.clock.advance(86_401)
    with pytest.raises(AuthenticationFailed, match="expired"):
        house.platform.authenticate(short.text)
    assert house.platform.authenticate(long.text).name == "anna"
    berta = house.platform.accounts_for(house.person("berta"))
    with pytest.raises(RecordNotFound):
        berta.revoke(long.record.serial)
    hers.revoke(long.record.serial)
    with pytest.raises(AuthenticationFailed, match="revoked"):
        house.platform.authenticate(long.text)


def test_a_workers_token_runs_jobs_and_makes_no_projects(house):
    token = house.accounts.add_worker_token("bench")
    worker = house.platform.authenticate(token.text)
    queue = house.platform.queue_for(worker)
    assert queue.claim(queue.register(Worker(name="bench")).serial) is None
    with pytest.raises(PermissionDenied):
        house.server(worker).create(Project(name="mine"))
    with pytest.raises(PermissionDenied):
        house.platform.control_for(worker)


def test_tokens_of_one_kind_are_none_of_another(house):
    setting = Setting.make(type("W", (), {"admin": house.server(house.admin)})())
    job = setting.task
    assert job.serial
    file_token = house.platform.signer.sign({"kind": "file", "scopes": [["read", "userdata"]], "exp": 2**40})
    with pytest.raises(AuthenticationFailed):
        house.platform.authenticate(file_token)
    with pytest.raises(AuthenticationFailed):
        house.platform.verify_file_token(house.platform.admin_token())


@pytest.mark.parametrize("days", [-1, -739943.0, 1e300, float("nan"), float("inf")])
def test_a_token_ends_neither_before_it_begins_nor_never(house, days):
    anna = house.person("anna")
    with pytest.raises(InvalidContent, match="days"):
        house.platform.accounts_for(anna).add_token(anna.account_serial, "laptop", days=days)
