"""What a script saves on its job, and what happens to other people's edits meanwhile."""

import pytest

from xfworker.api.facade.worker_job import XFWorkerJob
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import InvalidParameter, UsageError


def test_a_new_job_has_its_inputs_with_none_where_one_is_not_set(worker):
    assert worker.job["inputs"] == {"image": None, "threshold": 3}
    assert worker.job["state"] == "Running"


def test_save_job_saves_edits_in_the_dict_and_the_given_fields(script_platform, worker):
    worker.job["name"] = "left femur"
    worker.job["metadata"]["colour"] = "red"
    saved = worker.save_job(sort_order="a5")
    assert saved is worker.job
    kept = script_platform.job(worker.job["serial"])
    assert (kept.name, kept.metadata["colour"], kept.sort_order) == ("left femur", "red", "a5")
    assert worker.job["occ_lock_version"] == kept.occ_lock_version


def test_save_job_without_edits_asks_nothing(script_platform, worker):
    before = script_platform.job(worker.job["serial"])
    worker.save_job()
    assert script_platform.job(worker.job["serial"]) == before


def test_an_edit_that_somebody_else_made_meanwhile_is_kept(script_platform, worker):
    script_platform.edit_metadata(worker.job["serial"], remark="theirs")
    script_platform.edit_job(worker.job["serial"], name="theirs")
    worker.job["metadata"]["mine"] = 1
    worker.save_job()
    kept = script_platform.job(worker.job["serial"])
    assert kept.name == "theirs"
    assert kept.metadata["remark"] == "theirs"
    assert kept.metadata["mine"] == 1
    assert worker.job["metadata"]["remark"] == "theirs"


def test_replacing_metadata_as_a_whole_still_keeps_keys_that_were_not_known(script_platform, worker):
    worker.save_job(metadata={"a": 1})
    script_platform.edit_metadata(worker.job["serial"], theirs=True)
    worker.save_job(metadata={"b": 2})
    assert script_platform.job(worker.job["serial"]).metadata == {"b": 2, "theirs": True}


def test_objects_inside_the_job_stay_the_same_objects_after_a_save(worker):
    metadata = worker.job["metadata"]
    worker.progress(10)
    worker.save_job(name="x")
    metadata["later"] = 1
    worker.save_job()
    assert worker.job["metadata"]["later"] == 1
    worker.load_job()
    assert metadata["later"] == 1


def test_edits_that_are_not_saved_survive_progress(script_platform, worker):
    worker.job["name"] = "mine"
    script_platform.clock.advance(10)
    worker.progress(50)
    assert script_platform.job(worker.job["serial"]).name == ""
    assert worker.job["name"] == "mine"
    worker.save_job()
    assert script_platform.job(worker.job["serial"]).name == "mine"


def test_load_job_drops_edits(worker):
    worker.job["name"] = "mine"
    assert worker.load_job()["name"] == ""


def test_save_job_refuses_a_name_that_is_no_field(worker):
    with pytest.raises(UsageError, match=r"no field 'sort_ordre'.*sort_order"):
        worker.save_job(sort_ordre="a")


@pytest.mark.parametrize("name", ["serial", "occ_lock_version", "created_at", "modified_at"])
def test_save_job_refuses_fields_of_the_server(worker, name):
    with pytest.raises(UsageError, match=f"{name} of a job is set by the server only"):
        worker.save_job(**{name: 5})


@pytest.mark.parametrize("value", [float("nan"), object(), {1: 2}, b"x", "\ud800", "a\0b"])
def test_what_is_no_json_is_refused_with_its_path_and_nothing_is_saved(script_platform, worker, value):
    before = script_platform.job(worker.job["serial"])
    with pytest.raises(InvalidParameter, match=r"record\.metadata"):
        worker.save_job(metadata={"bad": [value]})
    assert script_platform.job(worker.job["serial"]) == before
    worker.save_job(name="fine")
    assert script_platform.job(worker.job["serial"]).name == "fine"


def test_numpy_values_are_saved_as_the_numbers_they_are(script_platform, worker):
    np = pytest.importorskip("numpy")
    worker.save_job(metadata={"a": np.int16(3), "b": np.float32(0.5), "c": np.bool_(True), "d": np.arange(3)})
    assert script_platform.job(worker.job["serial"]).metadata == {"a": 3, "b": 0.5, "c": True, "d": [0, 1, 2]}


def test_error_messages_are_set_and_cleared(script_platform, worker):
    worker.set_error_message("too dark")
    assert script_platform.job(worker.job["serial"]).metadata["error_message"] == "too dark"
    worker.clear_error_message()
    assert "error_message" not in script_platform.job(worker.job["serial"]).metadata
    worker.clear_error_message()


def test_with_save_false_nothing_is_saved_until_the_next_save(script_platform, worker):
    worker.set_error_message("later", save=False)
    worker.set_output_units({"volume": "mm3"}, save=False)
    worker.set_estimated_duration(60, save=False)
    assert "error_message" not in script_platform.job(worker.job["serial"]).metadata
    worker.save_job()
    metadata = script_platform.job(worker.job["serial"]).metadata
    assert metadata["error_message"] == "later"
    assert metadata["output_units"] == {"volume": "mm3"}
    assert metadata["estimated_duration_seconds"] == 60.0


def test_output_units_must_be_strings(worker):
    with pytest.raises(UsageError, match="units are strings"):
        worker.set_output_units({"volume": 3})


def test_debug_info_names_the_job_but_no_secret(session):
    worker = XFWorkerJob(session=session)
    info = worker.get_debug_info()
    assert str(worker.job["serial"]) in info
    assert str(worker.working_dir.path) in info
    assert session.arguments.server_auth not in info
    assert session.arguments.server_auth not in repr(worker)
    assert session.arguments.server_auth not in repr(session)


def test_a_field_that_a_job_does_not_have_is_refused_however_it_was_set(script_platform, worker):
    worker.job["sort_ordre"] = "zz"
    with pytest.raises(UsageError, match="has no field 'sort_ordre'"):
        worker.save_job()
    with pytest.raises(UsageError, match="has no field 'sort_ordre'"):
        worker.set_error_message("x")
    worker.load_job()
    worker.job["name"] = "right"
    worker.save_job()
    assert script_platform.job(worker.job["serial"]).name == "right"


@pytest.mark.parametrize(
    "save", [lambda worker: worker.save_job(name="x"), lambda worker: worker.finish({"volume": 1})]
)
def test_a_job_that_was_given_another_serial_changes_no_other_job(script_platform, worker, save):
    own = worker.job["serial"]
    worker.job["serial"] = own + 1
    with pytest.raises(UsageError, match=rf"this is the record {own}, but its serial was set to {own + 1}"):
        save(worker)
    worker.job["serial"] = own
    worker.save_job(name="mine")
    assert script_platform.job(own).name == "mine"


def test_what_the_server_sets_may_come_with_a_fresher_record_and_changes_nothing(script_platform, worker):
    script_platform.edit_job(worker.job["serial"], name="theirs")
    before = script_platform.job(worker.job["serial"])
    worker.job.update(to_json(before))
    worker.job["created_at"] = "2001-01-01T00:00:00Z"
    worker.save_job(sort_order="a5")
    after = script_platform.job(worker.job["serial"])
    assert (after.name, after.created_at, after.sort_order) == ("theirs", before.created_at, "a5")
