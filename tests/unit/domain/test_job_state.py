from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.errors import IllegalTransition, XFWorkerError, all_errors
from xfworker.domain.job_state import JobState, allowed_next, check_transition


@pytest.mark.parametrize(("before", "after"), list(product(JobState, JobState)))
def test_a_transition_is_refused_exactly_when_the_table_lacks_it(before, after):
    if before == after or after in allowed_next(before):
        check_transition(3, before, after)
    else:
        with pytest.raises(IllegalTransition, match=f"job 3 cannot go from {before} to {after}"):
            check_transition(3, before, after)


def test_a_job_ends_only_from_where_somebody_worked_on_it():
    assert {state for state in JobState if JobState.DONE in allowed_next(state)} == {
        JobState.RUNNING,
        JobState.READY_FOR_INTERACTIVE,
    }


@given(st.data())
def test_wherever_a_job_walks_it_can_still_end_or_be_restarted(data):
    state = JobState.WAITING
    for _ in range(8):
        state = data.draw(st.sampled_from(sorted(allowed_next(state))))
        assert allowed_next(state) & {JobState.ABORTED, JobState.WAITING}


def test_every_error_has_a_code_of_its_own():
    errors = all_errors()

    assert len({error.code for error in errors.values()}) == len(errors)
    assert all(issubclass(error, XFWorkerError) for error in errors.values())


def test_states_have_the_words_that_records_and_scripts_have_since_the_first_version():
    words = ["Waiting", "Ready", "ReadyForInteractive", "Running", "Done", "Failed", "Aborted"]
    assert [state.value for state in JobState] == words
    assert [state.value for state in JobState if state.is_final] == ["Done", "Failed", "Aborted"]


def test_a_refusal_lists_the_states_that_may_follow():
    with pytest.raises(IllegalTransition, match=r"it can go to: Ready, ReadyForInteractive, Waiting$"):
        check_transition(3, JobState.DONE, JobState.FAILED)
