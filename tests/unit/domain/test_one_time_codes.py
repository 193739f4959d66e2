"""Rules of one-time codes: the step of a moment, and recovery codes however they are typed."""

from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.one_time_codes import (
    RECOVERY_CODE_BYTES,
    RECOVERY_CODE_COUNT,
    STEP_SECONDS,
    plain_code,
    recovery_code,
    recovery_code_hash,
    time_step,
)

chances = st.binary(min_size=RECOVERY_CODE_BYTES, max_size=RECOVERY_CODE_BYTES)


@given(st.integers(0, 2**40))
def test_a_step_lasts_30_seconds(moment):
    first = time_step(moment) * STEP_SECONDS
    assert first <= moment < first + 30
    assert time_step(first + 29.999) == time_step(moment)


def test_spaces_and_hyphens_in_a_code_do_not_count():
    assert plain_code(" 005 924 ") == plain_code("005-924") == "005924"


@given(chances)
def test_a_recovery_code_is_known_again_however_it_is_typed(chance):
    code = recovery_code(chance)
    assert len(code.replace("-", "")) == 24  # 120 bits, above the 112 from which a hash needs no salt
    assert recovery_code_hash(f" {code.replace('-', ' ').upper()} ") == recovery_code_hash(code)
    assert code.replace("-", "") not in recovery_code_hash(code)


@given(chances, chances)
def test_two_recovery_codes_differ_as_their_bytes_do(one, other):
    assert (recovery_code_hash(recovery_code(one)) == recovery_code_hash(recovery_code(other))) is (one == other)


@given(st.text())
def test_whatever_is_typed_has_a_hash(typed):
    assert len(recovery_code_hash(typed)) == 64


def test_ten_codes_come_with_a_second_factor_in_groups_of_four():
    assert RECOVERY_CODE_COUNT == 10
    assert recovery_code(bytes(15)) == "aaaa-aaaa-aaaa-aaaa-aaaa-aaaa"
    assert recovery_code_hash("\ud800") == recovery_code_hash("?")
