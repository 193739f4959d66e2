"""How the end of a job is saved, with what the script has changed and not saved, and what its outputs may be."""

from types import SimpleNamespace

import pytest
from attrs import evolve
from structlog.testing import capture_logs

from xfworker.adapters.memory.clock import ManualClock
from xfworker.domain.change import Change
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import FileError, InvalidParameter, RecordConflict, ServerUnreachable, UsageError
from xfworker.domain.job_state import JobState
from xfworker.domain.queries import OutputValue
from xfworker.domain.records import Job, Task, TaskType, Workflow
from xfworker.services.script.lifecycle import check_units, finish_job, hand_over
from xfworker.services.script.outputs import existing_file, upload_userdata, value_parameter
from xfworker.services.script.saving import save_intent
from xfworker.services.script.sequences import paired
from xfworker.services.script.session import Session
from xfworker.services.script.spawning import ensure_task, job_spawn_key

JOB = Job(serial=7, task_serial=3, workflow_serial=2, occ_lock_version=4)


class Server:
    """Keeps what is to be changed; it is away at first where that is wanted."""

    def __init__(self, away=0, conflicts=0):
        self.away, self.conflicts, self.changes = away, conflicts, []

    def get(self, kind, serial):
        assert (kind, serial) == (Workflow, 2)
        return Workflow(serial=2, project_serial=1, occ_lock_version=9)

    def update(self, kind, serial, change):
        if self.away:
            self.away -= 1
            raise ServerUnreachable("connection refused")
        self.changes.append((kind, serial, change))
        if self.conflicts:
            self.conflicts -= 1
            raise RecordConflict("it moved on", current=to_json(Task(serial=3, workflow_serial=2, task_type_serial=1)))
        return JOB


@pytest.fixture
def session():
    return SimpleNamespace(server=Server(), clock=ManualClock(), arguments=SimpleNamespace(job_serial=7))


def test_outputs_that_are_given_at_the_end_are_all_that_there_are_and_other_edits_are_saved_with_them(session):
    edits = Change(
        values={"/outputs": {"a": 1}, "/outputs/b": 2, "/state": "Failed", "/metadata/note": "x", "/name": "n"},
        removals=("/outputs/c", "/outputs", "/state", "/metadata/old"),
    )
    finish_job(session, edits, {"volume": 1.5}, expected_version=4)
    values = {"/metadata/note": "x", "/name": "n", "/outputs": {"volume": 1.5}, "/state": "Done"}
    assert session.server.changes == [
        (Job, 7, Change(values=values, removals=("/metadata/old",), expected_version=4, bump=True))
    ]


@pytest.mark.parametrize(("away", "waits"), [(4, 4), (5, 4)])
def test_a_server_that_is_away_when_a_job_ends_is_asked_five_times(session, away, waits):
    session.server.away = away
    if away == 5:
        with pytest.raises(ServerUnreachable):
            finish_job(session, Change(), {}, expected_version=4)
    else:
        finish_job(session, Change(), {}, expected_version=4)
    assert len(session.clock.slept) == waits
    assert 0.5 <= session.clock.slept[0] <= 1.5
    assert session.clock.slept[-1] <= 12


def test_a_job_that_is_handed_over_changes_its_task_under_the_version_of_the_workflow(session):
    hand_over(session, JOB, Change(values={"/metadata/note": "x"}), error_message="look at\0this")
    assert session.server.changes == [
        (Task, 3, Change(values={"/initial_state": "ReadyForInteractive"}, expected_version=9)),
        (
            Job,
            7,
            Change(
                values={
                    "/metadata/note": "x",
                    "/metadata/error_message": session.server.changes[1][2].values["/metadata/error_message"],
                    "/state": JobState.READY_FOR_INTERACTIVE.value,
                },
                expected_version=4,
            ),
        ),
    ]
    assert "\0" not in session.server.changes[1][2].values["/metadata/error_message"]


def test_units_of_outputs_that_are_not_there_are_refused_with_those_that_are():
    with pytest.raises(UsageError, match=r"units are given of 'volume'; the outputs are none$"):
        check_units({"volume": "mm3"}, {})
    with pytest.raises(UsageError, match=r"units are given of 'volume'; the outputs are 'area', 'count'$"):
        check_units({"volume": "mm3"}, {"area": 1, "count": 2})
    check_units({"area": "mm2"}, {"area": 1})


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        ("CSV", "create_output_csv"),
        ("GIResult", "create_output_gi_result"),
        ("HTMLDocument", "create_output_html_document"),
        ("ImagePairList", "create_output_image_pair_list"),
        ("ImageVOI", "create_output_image_voi"),
        ("RotatedImageVOI", "create_output_rotated_image_voi"),
        ("ForeignFile", "create_output_foreign_file"),
    ],
)
def test_what_is_wrong_in_an_output_names_the_function_that_makes_it(kind, function):
    with pytest.raises(InvalidParameter, match=rf": {function}\."):
        value_parameter(kind, nothing_of_this_name=object())


def test_a_folder_is_no_file_that_can_be_stored(tmp_path):
    with pytest.raises(FileError, match="it is a directory; store its files one by one"):
        existing_file(tmp_path)


@pytest.mark.parametrize(
    ("virtualpath", "stored"),
    [("b.csv", "userdata/b.csv"), ("reports/", "userdata/reports/a.csv"), ("reports\\", "userdata/reports/a.csv")],
)
def test_a_file_goes_to_a_path_in_user_data_or_into_a_folder_under_its_own_name(tmp_path, virtualpath, stored):
    path, seen = tmp_path / "a.csv", []
    path.write_text("1\n")
    session = SimpleNamespace(
        server=SimpleNamespace(file_token=lambda scopes: None),
        transfers=SimpleNamespace(store=lambda token, source, resource, **_: seen.append(str(resource))),
    )
    upload_userdata(session, SimpleNamespace(path=tmp_path / "working"), path, virtualpath)
    assert seen == [stored]


def test_a_change_that_went_through_and_whose_answer_was_lost_is_not_made_again():
    asked = []

    class Late:
        def update(self, _kind, _serial, change):
            asked.append(change)
            raise RecordConflict("it moved on", current=to_json(evolve(JOB, name="n", occ_lock_version=5)))

    saved = save_intent(Late(), ManualClock(), Job, 7, Change(values={"/name": "n"}, expected_version=4))
    assert (saved.name, saved.occ_lock_version, len(asked)) == ("n", 5, 1)


def test_a_change_that_others_keep_overtaking_is_tried_sixty_times_quickly_and_quietly():
    asked, clock = [], ManualClock()

    class Busy:
        def update(self, _kind, _serial, change):
            asked.append(change)
            raise RecordConflict("it moved on", current=to_json(evolve(JOB, occ_lock_version=4 + len(asked))))

    with capture_logs() as log, pytest.raises(RecordConflict, match="60 times in a row"):
        save_intent(Busy(), clock, Job, 7, Change(values={"/name": "n"}, expected_version=4))
    assert [change.expected_version for change in asked] == list(range(4, 64))
    assert max(clock.slept[:3]) <= 0.08
    assert max(clock.slept) <= 0.5
    assert log == []


def test_values_are_paired_within_a_run_and_those_of_no_run_are_left_out():
    def values(*jobs):
        return [OutputValue(job_serial=job, run_serial=run, value=value) for job, run, value in jobs]

    first, second = values((1, 1, "a"), (2, None, "b"), (3, 2, "c")), values((4, 1, "x"), (5, None, "y"), (3, 2, "z"))
    assert [(one.value, other.value) for one, other in paired(first, second)] == [("a", "x"), ("c", "z")]
    assert [(one.value, other.value) for one, other in paired(first, second, same_task=True)] == [("c", "z")]


def test_a_session_lets_go_of_its_files_and_its_server(tmp_path):
    closed = []
    one, other = (SimpleNamespace(close=lambda name=name: closed.append(name)) for name in ("files", "server"))
    Session(server=other, files=one, filesystem=None, images=None, clock=None, arguments=None).close()
    assert closed == ["files", "server"]


def test_a_task_whose_workflow_others_changed_is_changed_under_the_version_that_it_has_then(session):
    session.server.conflicts = 1
    hand_over(session, JOB, Change(), error_message=None)
    assert [change.expected_version for _, _, change in session.server.changes] == [9, 9, 4]


def test_a_task_is_upgraded_under_the_version_of_its_workflow():
    old, new = (TaskType(serial=serial, name="Lab.A", version=f"{serial}.0.0.0") for serial in (1, 2))
    task, changes = Task(serial=3, workflow_serial=2, task_type_serial=1, spawn_key="k"), []
    records = {TaskType: old, Workflow: Workflow(serial=2, project_serial=1, occ_lock_version=9)}
    server = SimpleNamespace(
        find=lambda kind, where: [task],
        get=lambda kind, serial: records[kind],
        update=lambda kind, serial, change: changes.append((kind, serial, change)),
    )
    ensure_task(server, ManualClock(), task, new, upgradable=[1])
    assert changes == [(Task, 3, Change(values={"/task_type_serial": 2}, expected_version=9))]


def spawned(inputs, **fields):
    return job_spawn_key(Job(task_serial=3, workflow_serial=2, inputs=inputs, **fields), 0)


def test_the_name_of_a_spawned_job_follows_from_its_content_alone_and_is_the_same_for_ever():
    inputs = {"note": "Größe", "entity": {"type": "Entity", "uuid": "1", "name": "m"}, "other": {"uuid": "1"}}
    # A search that goes on after an update finds what it has spawned before.
    assert spawned(inputs) == "05a529d8ee5b8379463f513931256e78"
    assert spawned(dict(reversed(inputs.items()))) == spawned(inputs)
    assert spawned({**inputs, "entity": {"type": "Entity", "uuid": "2", "name": "m"}}) == spawned(inputs)
    assert spawned({**inputs, "entity": {"type": "Entity", "uuid": "1", "name": "n"}}) != spawned(inputs)
    assert spawned({**inputs, "other": {"uuid": "2"}}) != spawned(inputs)
