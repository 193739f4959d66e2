"""The activity log is kept for ever unless an installation chooses a number of days."""

import pytest

from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.domain.records import ActivityEvent, Project
from xfworker.services.platform.activity_retention import activity_state, delete_old_events
from xfworker.services.platform.options import PlatformOptions
from xfworker.testing.contracts.worlds import DirectWorld

DAY = 24 * 3600.0


@pytest.fixture(params=["memory", "sqlite"])
def records(request, tmp_path):
    opened = MemoryRecordStore()
    if request.param == "sqlite":
        opened = opened_records(PlatformStorage(data=tmp_path, durable=False))
    yield opened
    opened.close()


def test_events_older_than_an_installation_keeps_them_are_deleted_by_maintenance(records):
    world = DirectWorld.over(records, PlatformOptions(activity_days=30))
    world.admin.create(Project(name="old"))
    world.clock.advance(20 * DAY)
    world.admin.create(Project(name="new"))
    world.clock.advance(11 * DAY)
    world.platform.maintain()
    assert [event.payload["serial"] for event in world.admin.find(ActivityEvent)] == [2]
    state = activity_state(records)
    assert (state.events, state.kept_days) == (1, 30)
    assert "deleted after 30 days" in str(state)


def test_any_number_of_old_events_is_deleted_by_and_by(records):
    world = DirectWorld.over(records, PlatformOptions(activity_days=30))
    with records.transaction() as transaction:
        for number in range(2001):
            transaction.insert(ActivityEvent(title=f"old {number}", created_at=world.clock.now()))
    world.clock.advance(31 * DAY)
    world.platform.maintain()
    assert activity_state(records).events == 0


def test_events_are_kept_for_ever_by_default(records):
    world = DirectWorld.over(records)
    world.admin.create(Project(name="old"))
    world.clock.advance(9000 * DAY)
    world.platform.maintain()
    assert len(world.admin.find(ActivityEvent)) == 1
    assert "kept for ever" in str(activity_state(records))


def test_what_is_kept_is_said_anew_when_the_choice_changes(records):
    for days in (30, 60, None):
        DirectWorld.over(records, PlatformOptions(activity_days=days)).platform.maintain()
        assert activity_state(records).kept_days == days


def test_an_entry_that_somebody_writes_is_one_entry(records):
    world = DirectWorld.over(records)
    project = world.admin.create(Project(name="p"))
    written = world.admin.create(ActivityEvent(project_serial=project.serial, title="looked at it"))
    assert [event.title for event in world.admin.find(ActivityEvent)] == [f"created {project}", written.title]


def test_maintenance_deletes_no_more_events_than_take_a_moment_and_the_rest_the_next_time(records):
    options = PlatformOptions(activity_days=30)
    world = DirectWorld.over(records, options)
    with records.transaction() as transaction:
        for number in range(60):
            transaction.insert(ActivityEvent(title=f"old {number}", created_at=world.clock.now()))
    world.clock.advance(31 * DAY)
    assert [delete_old_events(records, world.clock, options, at_once=1) for _ in range(2)] == [50, 10]
    assert activity_state(records).events == 0
