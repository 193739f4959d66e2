"""Tokens whose claims are not ours, and sessions that begin by a link."""

import pytest

from tests.unit.platform.test_file_rights import Lab
from xfworker.domain.change import Change
from xfworker.domain.errors import (
    AuthenticationFailed,
    FileError,
    InvalidContent,
    LeaseLost,
    PermissionDenied,
    RecordNotFound,
)
from xfworker.domain.records import Job


@pytest.fixture
def lab(tmp_path):
    return Lab.at(tmp_path)


@pytest.mark.parametrize(
    "claims",
    [
        {}, {"kind": "unknown"}, {"kind": "job"},
        {"kind": "job", "job": "x", "workflow": 1, "project": 1, "attempt": 1},
        {"kind": "user"}, {"kind": "user", "key": "nobody's"}, {"kind": "worker", "key": 7}, {"kind": "file"},
    ],
)  # fmt: skip
def test_a_signed_token_whose_claims_are_not_ours_lets_nobody_in(lab, claims):
    with pytest.raises(AuthenticationFailed):
        lab.platform.authenticate(lab.platform.signer.sign(claims))


@pytest.mark.parametrize(
    "claims",
    [
        {"kind": "admin"}, {"kind": "file"}, {"kind": "file", "by": "admin"},
        {"kind": "file", "by": {"kind": "admin"}, "scopes": "all", "exp": 2**31},
        {"kind": "file", "by": {"kind": "admin"}, "scopes": [["eat", "userdata"]], "exp": 2**31},
        {"kind": "file", "by": {"kind": "admin"}, "scopes": [["read", "userdata"]]},
        {"kind": "file", "scopes": [["read", "userdata"]], "exp": 2**31},
        {"kind": "link", "by": {"kind": "admin"}, "scopes": [["read", "userdata"]], "exp": 2**31},
    ],
)  # fmt: skip
def test_a_signed_token_that_is_not_one_for_files_opens_none(lab, claims):
    with pytest.raises(AuthenticationFailed):
        lab.platform.verify_file_token(lab.platform.signer.sign(claims))


def test_a_token_for_no_file_at_all_is_refused(lab):
    with pytest.raises(FileError, match="at least one scope"):
        lab.server().file_token([])


def test_an_account_is_found_by_its_name_by_those_who_may(lab):
    serial, anna = lab.person("anna")
    lab.person("bert")
    accounts = lab.platform.accounts_for(lab.admin)
    assert accounts.by_name("anna").serial == serial
    with pytest.raises(RecordNotFound, match="no account 'nobody'"):
        accounts.by_name("nobody")
    with pytest.raises((RecordNotFound, PermissionDenied)):
        lab.platform.accounts_for(lab.platform.authenticate(anna)).by_name("bert")


def test_a_script_makes_no_tokens(lab):
    serial, _ = lab.person("anna")
    lease = lab.leased(lab.job())
    script = lab.platform.accounts_for(lab.platform.authenticate(lease.server_auth))
    with pytest.raises(PermissionDenied):
        script.add_token(serial, "mine")
    with pytest.raises(InvalidContent, match="cannot be good for"):
        lab.platform.accounts_for(lab.admin).add_token(serial, "long", days=float("nan"))


def test_what_a_change_would_be_refused_for_is_said_without_changing_anything(lab):
    job = lab.job()
    lab.server().check_update(Job, job.serial, Change(values={"/name": "new"}))
    assert lab.server().get(Job, job.serial) == job
    with pytest.raises(RecordNotFound):
        lab.server().check_update(Job, 999, Change(values={"/name": "new"}))


def test_a_board_shows_a_workflow_to_those_who_see_it(lab):
    _, anna = lab.person("anna")
    job = lab.job()
    board = lab.server().board(job.workflow_serial)
    assert [cell.serial for cell in board.cells] == [job.serial]
    assert [step.serial for step in lab.server().board_steps(job.workflow_serial)] == [job.task_serial]
    changes = lab.server().board_changes(job.workflow_serial, board.read_at)
    assert [changed.serial for changed in changes.jobs] == [job.serial]
    with pytest.raises(RecordNotFound):
        lab.server(anna).board(job.workflow_serial)


def test_a_link_begins_one_session_which_ends_with_the_token_that_made_it(lab):
    _, anna = lab.person("anna")
    sessions = lab.platform.page_sessions()
    link = sessions.link(lab.platform.authenticate(anna))
    code = link.path.removeprefix("/link/")
    begun = sessions.begin(code)
    visitor = lab.platform.authenticate(begun.text)
    assert visitor.name == "anna"
    assert begun.record.expires_at == lab.platform.authenticate(anna).expires_at
    with pytest.raises(AuthenticationFailed, match="used already or has expired"):
        sessions.begin(code)
    sessions.end(visitor)
    with pytest.raises(AuthenticationFailed, match="revoked"):
        lab.platform.authenticate(begun.text)
    assert lab.platform.authenticate(anna).name == "anna"


@pytest.mark.parametrize("end", ["a new password", "a token that is revoked", "the end of all sessions"])
def test_a_link_leads_nowhere_once_the_token_that_asked_for_it_has_ended(lab, end):
    serial, _ = lab.person("anna")
    accounts, sessions = lab.platform.accounts_for(lab.admin), lab.platform.page_sessions()
    session = accounts.log_in("anna", "anna-password")
    code = sessions.link(lab.platform.authenticate(session.text)).path.removeprefix("/link/")
    if end == "a new password":
        accounts.change(serial, password="correct horse battery")
    elif end == "a token that is revoked":
        accounts.revoke(session.record.serial)
    else:
        accounts.end_sessions(serial)
    with pytest.raises(AuthenticationFailed, match="revoked"):
        sessions.begin(code)


def test_a_link_of_who_has_the_data_folder_begins_an_administrators_session_for_ten_minutes(lab):
    sessions = lab.platform.page_sessions()
    code = sessions.link(lab.admin).path.removeprefix("/link/")
    late = sessions.link(lab.admin).path.removeprefix("/link/")
    assert lab.platform.authenticate(sessions.begin(code).text).is_admin
    lab.clock.advance(601)
    with pytest.raises(AuthenticationFailed):
        sessions.begin(late)
    # The administrator's own token has no record that ending a session could remove.
    sessions.end(lab.admin)
    assert lab.server().find(Job) == []


def test_scripts_and_workers_make_no_links(lab):
    lease = lab.leased(lab.job())
    worker = lab.platform.accounts_for(lab.admin).add_worker_token("one").text
    for bearer in (lease.server_auth, worker):
        with pytest.raises(PermissionDenied):
            lab.platform.page_sessions().link(lab.platform.authenticate(bearer))


def test_a_script_sees_who_shares_its_project_as_long_as_its_attempt_goes_on(lab):
    _, anna = lab.person("anna")
    job = lab.job(anna)
    script = lab.platform.accounts_for(lab.platform.authenticate(lab.leased(job).server_auth))
    assert [name for _, name in script.members(job.project_serial)] == ["anna"]
    lab.lose()
    with pytest.raises(LeaseLost):
        script.members(job.project_serial)
