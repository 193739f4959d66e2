"""What a processing log says last of a key, however long the log is."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.image.processing_log import KEY_WIDTH, appended, begun, calibration_of, last, number
from xfworker.domain.image.scanco_calibration import ScancoCalibration

KEY = "Mu_Scaling"
LINES = st.lists(
    st.one_of(
        st.text("Mu_Scaling !\t0", max_size=50),
        st.builds("{:<30}{}".format, st.sampled_from([KEY, f" {KEY}", f"{KEY}2", f"!{KEY}", KEY * 3]), st.text("12 ")),
    ),
    max_size=8,
)


@given(LINES)
def test_the_last_line_with_a_key_counts_and_comments_do_not(lines):
    values = [
        line[KEY_WIDTH:].strip() for line in lines if not line.startswith("!") and line[:KEY_WIDTH].strip() == KEY
    ]
    assert last("\n".join(lines) + "\0" + KEY, KEY) == (values[-1] if values else None)


def test_what_a_line_states_is_a_number_only_where_it_begins_with_a_finite_one():
    log = "".join(f"{KEY:<30}{value}\n" for value in ("4096 1/cm", "nan"))
    assert number(log.splitlines()[0], KEY) == 4096
    assert number(log, KEY) is None
    assert number(f"{KEY:<30}unknown", KEY) is None
    assert number(f"{KEY:<30}", KEY) is None


def test_an_entry_stands_on_lines_of_its_own_behind_what_was_there():
    when = datetime(2026, 1, 2, 12, tzinfo=UTC)
    entry = appended("", "look", when).rpartition("Procedure:")[2]
    for log in (f"{KEY:<30}8192", f"{KEY:<30}8192\n", f"{KEY:<30}8192\n\0"):
        longer = appended(log, "look", when)
        assert longer.startswith(f"{KEY:<30}8192\nProcedure:")
        assert longer.endswith(entry)
        assert number(longer, KEY) == 8192


def test_what_describes_a_calibration_stands_with_it():
    scale = ScancoCalibration(mu_scaling=8192, density_slope=1600.0, density_intercept=-390.0, density_unit="mg HA/ccm")
    when = datetime(2026, 1, 2, 12, tzinfo=UTC)
    named = begun("a program", when, scan=(), scale=scale, default_unit_type="Density", calibration_name="55 kVp")
    assert last(named, "Calibration Data") == "55 kVp"
    assert calibration_of(named) == scale
    unnamed = begun("a program", when, scan=(), scale=scale, default_unit_type="Density")
    assert last(unnamed, "Calibration Data") is None


@pytest.mark.parametrize("scaling", [0.0, -4096.0])
def test_a_scale_that_cannot_be_right_calibrates_nothing(scaling):
    log = f"{'Mu_Scaling':<30}{scaling}\n{'HU: mu water':<30}0.24\n"
    assert calibration_of(log).calibrations() == ()
