import numpy as np
import pytest

from xfworker.domain.change import Change
from xfworker.domain.errors import (
    ChecksumMismatch,
    InvalidParameter,
    PermissionDenied,
    RecordConflict,
    ServerUnreachable,
    TransferInterrupted,
    UsageError,
)
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.testing import file_input, image_input


def test_a_job_has_its_inputs_at_hand(xf_job, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("fragile")
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    job = xf_job(image=array, threshold=np.float32(0.5), notes=file_input(notes), size=(1, 2))
    inputs = job.worker.job["inputs"]
    assert (inputs["threshold"], inputs["size"]) == (0.5, [1, 2])
    assert job.worker.download_input_file(inputs["notes"]).read_text() == "fragile"
    image = job.worker.get_omni_image(inputs["image"])
    np.testing.assert_array_equal(image.pixels, array)
    assert image.size == [4, 3, 2]


def test_an_array_of_truth_values_becomes_segments(xf_job):
    job = xf_job(mask=np.ones((1, 2, 3), bool))
    image = job.worker.get_omni_image(job.worker.job["inputs"]["mask"])
    assert (image.kind, image.pixel_type) == ("segments", "uint8")


def test_an_image_has_the_geometry_and_calibration_that_it_was_given(xf_job):
    from xfworker.api.facade.omni import Calibration

    density = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.5, intercept=-100)
    given = image_input(
        np.zeros((1, 1, 1), np.int16), spacing_mm=(0.1, 0.2, 0.3), origin_mm=(1, 2, 3), calibrations=[density]
    )
    job = xf_job(image=given)
    image = job.worker.get_omni_image(job.worker.job["inputs"]["image"])
    assert (image.spacing_mm, image.origin_mm) == ((0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    assert image.pixel_calibrations_of_unit_type("Density")[0].raw_to_calibrated(300) == 50


def test_a_job_that_a_test_works_on_ends_as_a_script_s_would(xf_job):
    job = xf_job()
    job.worker.finish({"answer": 42})
    assert (job.record.state, job.outputs) == (JobState.DONE, {"answer": 42})
    other = xf_job()
    assert other.end(exit_code=1).state is JobState.FAILED


def test_inputs_are_checked_by_the_interface_and_completed(xf_job):
    interface = {"inputs": [{"key": "threshold", "type": "Int", "default": 7}, {"key": "image", "type": "Image"}]}
    image = np.zeros((1, 1, 1), np.uint8)
    assert xf_job(interface=interface, image=image).record.inputs["threshold"] == 7
    with pytest.raises(UsageError, match=r"(?s)threshold.*'high'.*image"):
        xf_job(interface=interface, threshold="high")
    with pytest.raises(UsageError, match="imgae"):
        xf_job(interface=interface, image=image, imgae=image)


def test_a_job_has_its_own_rights_only(xf_platform, xf_job):
    first, second = xf_job(), xf_job()
    with pytest.raises(PermissionDenied, match=f"change job {second.serial}"):
        first.session.server.update(Job, second.serial, Change(values={"/name": "mine"}))


def test_a_conflict_is_a_real_one_and_the_facade_gets_over_it(xf_platform, xf_job):
    job = xf_job()
    xf_platform.conflict_next(times=2)
    job.worker.save_job(name="renamed")
    assert job.record.name == "renamed"
    assert job.record.metadata["changed_by_somebody_else"] == 2
    assert [request.error for request in xf_platform.requests.since() if request.operation == "update"] == [
        "RecordConflict",
        "RecordConflict",
        "",
    ]


def test_more_conflicts_than_the_retry_policy_allows_reach_the_script(xf_platform, xf_job):
    job = xf_job()
    xf_platform.conflict_next(times=1000)
    with pytest.raises(RecordConflict):
        job.worker.save_job(name="renamed")


def test_a_failed_upload_is_the_scripts_to_see_and_a_second_try_works(xf_platform, xf_job, tmp_path):
    job = xf_job()
    path = job.worker.create_temp_path("table.csv")
    path.write_bytes(b"a;b\n")
    xf_platform.fail_next("upload", times=1)
    with pytest.raises(TransferInterrupted, match="fail_next"):
        job.worker.upload_output_file(path)
    job.worker.upload_output_file(path)
    uploads = [request for request in xf_platform.requests.since() if request.operation == "upload"]
    assert [(request.error, request.bytes) for request in uploads] == [("TransferInterrupted", 0), ("", 4)]


def test_any_error_can_be_asked_for(xf_platform, xf_job):
    job = xf_job(image=np.zeros((1, 1, 1), np.uint8))
    xf_platform.fail_next("download", error=ChecksumMismatch)
    with pytest.raises(ChecksumMismatch):
        job.worker.get_omni_image(job.worker.job["inputs"]["image"])


def test_finish_waits_for_a_server_that_is_away_and_nobody_waits_for_real(xf_platform, xf_job):
    job = xf_job()
    assert job.worker.job["serial"] == job.serial
    xf_platform.fail_next("update", times=3, error=ServerUnreachable)
    job.worker.finish({})
    assert job.record.state is JobState.DONE
    assert sum(xf_platform.clock.slept) > 1


def test_a_slow_link_moves_the_clock_by_the_size_of_the_file(xf_platform, xf_job):
    job = xf_job()
    path = job.worker.create_temp_path("a.bin")
    path.write_bytes(bytes(5000))
    xf_platform.slow_down("upload", seconds=1, bytes_per_second=1000)
    before = xf_platform.clock.now()
    job.worker.upload_output_file(path)
    assert (xf_platform.clock.now() - before).total_seconds() == 6


def test_a_frozen_clock_makes_estimates_exact(xf_platform, xf_job):
    job = xf_job()
    assert job.worker.job["state"] == "Running"
    xf_platform.clock.advance(30)
    job.worker.progress(25)
    assert job.record.metadata["estimated_duration_seconds"] == 120


def test_sequences_pair_by_run(xf_platform, xf_job):
    import xfworkerutil

    volume, density = xf_platform.make_sequences(
        volume=[1.0, 2.0, None, 4.0], density=[10.0, None, 30.0, 40.0]
    ).values()
    job = xf_job(volume=volume, density=density)
    with job.worker.server_connection() as connection:
        assert xfworkerutil.get_xf_parameter_float_sequence(connection, volume) == [1, 2, 4]
        pairs = xfworkerutil.get_xf_parameter_paired_float_sequences(connection, volume, density)
    assert pairs == ([1, 4], [10, 40])


def test_user_data_is_named_by_its_parameter(xf_platform, xf_job):
    notes = xf_platform.put_userdata("scans/2024/notes.txt", b"left femur")
    job = xf_job(notes=notes)
    assert job.worker.download_input_file(job.worker.job["inputs"]["notes"]).read_bytes() == b"left femur"


def test_outputs_are_checked_by_the_interface(xf_job):
    job = xf_job(interface={"outputs": [{"key": "volume", "type": "Float"}]})
    with pytest.raises(InvalidParameter, match="volume"):
        job.worker.finish({"volume": "large"})
