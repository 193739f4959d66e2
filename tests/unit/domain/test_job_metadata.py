"""Which keys of a job's metadata the platform keeps, and what of them a new attempt, a restart and a caller leave."""

from xfworker.domain.job_metadata import (
    PLATFORM_KEYS,
    PROGRESS_KEYS,
    kept_platform_keys,
    lost_attempts,
    of_new_attempt,
    of_restart,
    without_platform_keys,
)

KEPT = {
    "abort_requested", "files_deleted", "lost_attempts", "outcome", "output_faults", "spawned_by_job", "values_changed",
    "worker_missing",
}  # fmt: skip
OF_ONE_ATTEMPT = {
    "abort_requested", "error_message", "estimated_duration_seconds", "files_deleted", "outcome", "output_units",
    "progress_percentage", "values_changed", "worked_on_by", "worker_missing",
}  # fmt: skip
METADATA = dict.fromkeys(KEPT | OF_ONE_ATTEMPT | {"own"}, 1)


def test_a_new_attempt_begins_without_what_the_one_before_left():
    assert of_new_attempt(METADATA).keys() == METADATA.keys() - OF_ONE_ATTEMPT
    assert of_restart(METADATA).keys() == METADATA.keys() - OF_ONE_ATTEMPT - {"lost_attempts"}
    assert of_restart({"own": 5}) == of_new_attempt({"own": 5}) == {"own": 5}
    assert {"estimated_duration_seconds", "progress_percentage"} == PROGRESS_KEYS


def test_lost_attempts_are_sentences_and_nothing_else():
    assert lost_attempts({"lost_attempts": ["a", 2]}) == ["a", "2"]
    assert lost_attempts({"lost_attempts": "a"}) == lost_attempts({}) == []


def test_a_caller_sets_no_key_of_the_platform():
    assert PLATFORM_KEYS == KEPT
    assert without_platform_keys(METADATA) == dict.fromkeys(OF_ONE_ATTEMPT - KEPT | {"own"}, 1)
    for key in KEPT:
        refused = [f"metadata.{key}: the platform sets it, so it cannot be changed"]
        assert kept_platform_keys({}, {"own": 1, key: 1}) == ({"own": 1, key: 1}, refused)
        assert kept_platform_keys({key: 1}, {key: 2, "own": 1}) == ({key: 1, "own": 1}, refused)
        assert kept_platform_keys({key: 1}, {key: 1, "own": 1}) == ({key: 1, "own": 1}, [])
        assert kept_platform_keys({key: 1, "own": 2}, {}) == ({key: 1}, [])
