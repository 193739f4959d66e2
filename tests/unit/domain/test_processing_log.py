"""What a processing log says last of a key, however long the log is."""

from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.image.processing_log import (
    KEY_WIDTH,
    appended,
    begun,
    calibration_lines,
    calibration_of,
    changed_calibration_lines,
    default_unit_type_of,
    last,
    line,
    number,
    timestamp,
)
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


NOON = datetime(2026, 11, 2, 9, 5, 7, 129_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("text", f"{'text':<50}"),
        (7, f"{'7':>23}"),
        (2.5, f"{'2.50000':>23}"),
        (0.1234567, f"{'0.1234567':>23}"),
        ((1, 20, -300), f" {'1':>11}{'20':>11}{'-300':>11}"),
        ("a\nb\x00c", f"{'a b c':<50}"),
        ("\u20ac", f"{'?':<50}"),
    ],
)
def test_a_statement_stands_in_the_columns_of_ipl(value, written):
    assert line("Key", value) == f"{'Key':<30}{written}"


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (NOON, " 2-NOV-2026 09:05:07.12"),
        (NOON.replace(microsecond=990_000), " 2-NOV-2026 09:05:07.99"),
        (datetime(833, 12, 31, 23, 59, 59, 9_999, tzinfo=UTC), "31-DEC-0833 23:59:59.00"),
        *((datetime(2026, 1 + month, 10, tzinfo=UTC), f"10-{name}-2026 00:00:00.00") for month, name in enumerate(
            ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
        )),
    ],
)  # fmt: skip
def test_a_time_is_written_as_vms_does(moment, written):
    assert timestamp(moment) == written


SCALE = ScancoCalibration(
    mu_scaling=4096.0, density_slope=1600.5, density_intercept=-390.25, density_unit=None, mu_water=0.24
)
BLOCK = [
    f"{'Mu_Scaling':<30}{'4096':>23}",
    f"{'Calib. default unit type':<30}{'2 (Density)':<50}",
    f"{'Density: unit':<30}{'mg HA/ccm':<50}",
    f"{'Density: slope':<30}{'1.60050000e+03':>23}",
    f"{'Density: intercept':<30}{'-3.90250000e+02':>23}",
    f"{'HU: mu water':<30}{'0.24000':>23}",
]
RULE = "!" + "-" * 79


def test_a_log_begins_with_who_wrote_it_the_scan_and_the_scale():
    log = begun("p", NOON, scan=[("Site", 4), ("", ""), ("Scanner", "x")], scale=SCALE, default_unit_type="Density")
    expected = [
        "!", "! Processing Log", "!", RULE, line("Created by", "p"), line("Time", " 2-NOV-2026 09:05:07.12"),
        line("Site", 4), RULE, line("Scanner", "x"), RULE, *BLOCK, RULE,
    ]  # fmt: skip
    assert log == "\n".join(expected) + "\n\0"


def test_an_entry_states_what_was_done_when_and_the_scale_where_it_changed():
    entry = [line("Procedure:", "look"), line("Time", timestamp(NOON)), line("Values", 3)]
    first = appended("", "look", NOON, [("Values", 3)])
    assert first == "\n".join(["!", "! Processing Log", "!", RULE, *entry, RULE]) + "\n\0"
    second = appended(first, "look", NOON, [("Values", 3)], BLOCK)
    assert second == first[:-1] + "\n".join([*entry, RULE, *BLOCK, RULE]) + "\n\0"


@pytest.mark.parametrize(
    ("unit_type", "stated"),
    [
        ("HU", "1 (HU)"),
        ("Density", "2 (Density)"),
        ("LinearAttenuation", "0 (Native)"),
        (None, "0 (Native)"),
        ("own", "0 (Native)"),
    ],
)
def test_the_block_of_a_scale_names_what_values_are_shown_in(unit_type, stated):
    assert last("\n".join(calibration_lines(SCALE, unit_type)), "Calibration Data") is None
    assert last("\n".join(calibration_lines(SCALE, unit_type)), "Calib. default unit type") == stated


def test_a_block_has_only_what_the_scale_says():
    def keys(**scale):
        return [statement[:KEY_WIDTH].strip() for statement in calibration_lines(ScancoCalibration(**scale), None, "n")]

    head = ["Mu_Scaling", "Calibration Data", "Calib. default unit type"]
    density = ["Density: unit", "Density: slope", "Density: intercept"]
    assert keys(mu_scaling=4096.0) == ["Mu_Scaling"]
    assert keys(mu_scaling=4096.0, mu_water=0.24) == [*head, "HU: mu water"]
    assert keys(mu_scaling=4096.0, density_slope=1.0, density_intercept=0.0) == [*head, *density]
    assert keys(mu_scaling=4096.0, density_slope=1.0) == head
    assert calibration_lines(ScancoCalibration(mu_scaling=0.5), None) == [line("Mu_Scaling", 0.5)]
    named = ScancoCalibration(mu_scaling=1.0, density_slope=1.0, density_intercept=0.0, density_unit="own")
    assert last("\n".join(calibration_lines(named, None)), "Density: unit") == "own"


def test_a_log_says_what_its_scale_and_its_unit_are():
    log = "\n".join(BLOCK)
    assert calibration_of(log) == attrs.evolve(SCALE, density_unit="mg HA/ccm")
    assert default_unit_type_of(log) == "Density"
    assert calibration_of("") == ScancoCalibration(mu_scaling=1.0)
    assert calibration_of(line("Density: unit", "")).density_unit is None
    for number_of_type, unit_type in ((0, None), (1, "HU"), (2, "Density"), (3, None)):
        assert default_unit_type_of(line("Calib. default unit type", f"{number_of_type} (x)")) == unit_type
    assert default_unit_type_of("") is None


def test_only_a_scale_that_changed_is_appended_and_what_is_gone_gets_zeros():
    log = "\n".join(BLOCK)
    stated = attrs.evolve(SCALE, density_unit="mg HA/ccm")
    assert changed_calibration_lines(log, stated, "Density") == []
    assert changed_calibration_lines(log, stated, "HU") == calibration_lines(stated, "HU")
    assert changed_calibration_lines(log, stated, "own") == calibration_lines(stated, None)
    none = ScancoCalibration(mu_scaling=4096.0)
    zeros = attrs.evolve(none, density_slope=0.0, density_intercept=0.0, mu_water=0.0)
    assert changed_calibration_lines(log, none, "Density") == calibration_lines(zeros, "Density")
    bare = line("Mu_Scaling", 8192)
    assert changed_calibration_lines(bare, none, None) == calibration_lines(none, None)
    assert changed_calibration_lines(bare, SCALE, None) == calibration_lines(SCALE, None)
