"""Calibrations are straight lines from raw values to a unit, and stay exact whichever way they are stated."""

import re

import pytest

from xfworker.domain.errors import ImageError
from xfworker.domain.image.calibration import Calibration, per_centimetre, resolve, unit_type_named
from xfworker.domain.image.scanco_calibration import ScancoCalibration


def line(unit_type="Density", slope=2.0, intercept=3.0, **more):
    return Calibration(unit_type=unit_type, slope=slope, intercept=intercept, **more)


def on(base, unit_type, slope=2.0, intercept=3.0):
    return line(unit_type, slope, intercept, type="slope_intercept_indirect", indirect_base_unit_type=base)


def test_raw_values_become_calibrated_ones_and_back():
    density = line(slope=0.5, intercept=-10, unit_name="mg HA/ccm")
    assert density.raw_to_calibrated(30) == 5
    assert density.calibrated_to_raw(5) == 30
    assert line(slope=-0.5).raw_stddev_to_calibrated_stddev(4) == 2
    assert line(slope=-0.5).raw_variance_to_calibrated_variance(4) == 1
    assert line(slope=3).raw_variance_to_calibrated_variance(2) == 18


def test_a_calibration_is_what_its_document_states_with_what_the_arguments_say():
    stated = {"unit_type": "Density", "unit_name": "mg HA/ccm", "slope": 1, "intercept": 2, "own": "kept"}
    found = Calibration(stated, slope=4)
    assert found.metadata == {**stated, "type": "slope_intercept", "slope": 4.0, "intercept": 2.0}
    assert type(found.metadata["intercept"]) is float
    assert (found.type, found.unit_type, found.unit_name) == ("slope_intercept", "Density", "mg HA/ccm")
    assert (found.slope, found.intercept, found.indirect_base_unit_type) == (4, 2, None)
    assert stated["slope"] == 1
    found.metadata["slope"] = 9
    assert found.slope == 4
    assert line().unit_name is None


def test_calibrations_are_equal_where_all_that_they_state_is():
    assert line() == line()
    assert hash(line()) == hash(line())
    assert line() != line(slope=2.5)
    assert line() != line().metadata
    assert len({line(), line(), line(intercept=1), line(slope=1), line("HU")}) == 4


def test_a_calibration_shows_itself_as_its_formula():
    named = line("Density", 0.5, -1.0, unit_name="mg HA/ccm")
    assert repr(named) == "<Calibration Density [mg HA/ccm] = 0.5 * raw + -1.0 (slope_intercept)>"
    assert repr(line("HU", 0.5, 0.0)) == "<Calibration HU = 0.5 * raw + 0.0 (slope_intercept)>"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"unit_type": ""}, "needs a unit_type"),
        ({"unit_type": 3}, "needs a unit_type"),
        ({"type": "table"}, "Density has type 'table'; known are 'slope_intercept' and 'slope_intercept_indirect'"),
        ({"slope": None}, "Density needs a finite slope; it has None"),
        ({"slope": True}, "needs a finite slope; it has True"),
        ({"slope": "1"}, "needs a finite slope; it has '1'"),
        ({"intercept": float("nan")}, "needs a finite intercept; it has nan"),
        ({"intercept": float("inf")}, "needs a finite intercept; it has inf"),
        ({"slope": 0}, "Density has slope 0"),
        ({"type": "slope_intercept_indirect"}, "does not name its indirect_base_unit_type"),
        ({"type": "slope_intercept_indirect", "indirect_base_unit_type": 1}, "does not name its indirect_base"),
    ],
)
def test_what_is_no_straight_line_is_refused(change, reason):
    with pytest.raises(ImageError, match=re.escape(reason)):
        Calibration({"unit_type": "Density", "slope": 1, "intercept": 0, **change})


def test_an_indirect_calibration_goes_all_the_way_from_raw_values_through_each_base():
    on_top, between, direct = on("Mu", "HU", 10, 1), on("Raw", "Mu", 3, 5), line("Raw", 2, 7)
    for order in ((on_top, between, direct), (direct, between, on_top)):
        found = {one.unit_type: one for one in resolve(order)}
        assert list(found) == [one.unit_type for one in order]
        assert found["Mu"].line() == (6, 26)
        assert found["HU"].line() == (60, 261)
        assert found["HU"].metadata == on_top.metadata
        assert found["HU"].indirect_base_unit_type == "Mu"
        assert found["Raw"] is direct


def test_of_two_calibrations_to_a_base_the_direct_one_is_the_base_and_else_the_first():
    indirect_base, direct = on("Raw", "Mu", 3, 5), line("Mu", 2, 7)
    found = resolve((indirect_base, on("Mu", "HU", 10, 1), line("Raw", 1, 0), direct))
    assert found[1].line() == (20, 71)
    found = resolve((on("Mu", "HU", 10, 1), on("Raw", "Mu", 3, 5), on("Raw", "Mu", 4, 6), line("Raw", 1, 0)))
    assert [one.line() for one in found[:3]] == [(30, 51), (3, 5), (4, 6)]


def test_an_indirect_calibration_without_its_base_or_on_itself_says_so_when_it_is_used():
    for stray in resolve((on("Mu", "HU"), on("B", "A"), on("A", "B"))):
        with pytest.raises(
            ImageError, match=f"to {stray.unit_type} is stated on top of {stray.indirect_base_unit_type}"
        ):
            stray.raw_to_calibrated(1)


@pytest.mark.parametrize(
    ("name", "unit_type"),
    [
        *((name, "HU") for name in ("HU", " hu ", "Hounsfield", "hounsfield unit", "Hounsfield Units", "CT number")),
        *((name, "LinearAttenuation") for name in ("1/cm", "/mm", "per mm", "cm^-1", "mm-1", "m**-1", "1 / cm")),
        *(
            (name, "Density")
            for name in (
                "mg HA/ccm", "mg/cc", "g/cm3", "g/cm^3", "kg/m\u00b3", "g/dm**3", "mg/ml", "g/l", "ug/mm3",
                "\u00b5g/mm3", "\u03bcg/mm3", "mg K2HPO4/ml", "mg CaHA per cm3", "mg hydroxyapatite/ccm",
            )
        ),
        *((name, None) for name in ("", " ", "mg", "mm", "1/s", "cm", "per s", "mg/s", "HU/cm", "1/", "1/cm2", "per")),
    ],
)  # fmt: skip
def test_the_name_of_a_unit_says_what_is_measured(name, unit_type):
    assert unit_type_named(name) == unit_type


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        (None, 1), ("1/cm", 1), ("1/mm", 10), ("per mm", 10), ("/m", 0.01), ("mm-1", 10), ("mm^-1", 10),
        ("m**-1", 0.01),
        ("um\u207b\u00b9", 10_000), (" 1 / mm ", 10), ("1/pixel", None), ("HU", None), ("1/cm-1", None), ("", None),
    ],
)  # fmt: skip
def test_attenuation_of_any_length_becomes_that_of_a_centimetre(name, factor):
    assert per_centimetre(name) == (None if factor is None else pytest.approx(factor))


STATED = ScancoCalibration(
    mu_scaling=4096, density_slope=1600.0, density_intercept=-390.0, density_unit="mg HA/ccm", mu_water=0.25
)


def test_what_a_scanner_states_is_three_lines():
    lines = {one.unit_type: (one.line(), one.unit_name) for one in STATED.calibrations()}
    assert lines == {
        "Density": ((1600 / 4096, -390), "mg HA/ccm"),
        "HU": ((1000 / 1024, -1000), "HU"),
        "LinearAttenuation": ((1 / 4096, 0), "1/cm"),
    }
    assert ScancoCalibration.of(STATED.calibrations()) == STATED


@pytest.mark.parametrize(
    ("stated", "unit_types"),
    [
        ({"mu_scaling": 4096, "density_slope": 1.0}, ["LinearAttenuation"]),
        ({"mu_scaling": 4096, "density_intercept": 1.0}, ["LinearAttenuation"]),
        ({"mu_scaling": 1, "density_slope": 0.0, "density_intercept": 1.0}, []),
        ({"mu_scaling": 1, "density_slope": float("nan"), "density_intercept": 1.0}, []),
        ({"mu_scaling": 1, "density_slope": 1.0, "density_intercept": float("inf")}, []),
        ({"mu_scaling": 1, "density_slope": -0.5, "density_intercept": 0.0}, ["Density"]),
        ({"mu_scaling": 1, "mu_water": 0.0}, []),
        ({"mu_scaling": 1, "mu_water": -0.24}, []),
        ({"mu_scaling": 1, "mu_water": float("inf")}, []),
        ({"mu_scaling": 1, "mu_water": 0.24}, ["HU"]),
        ({"mu_scaling": float("inf"), "mu_water": 0.24}, []),
        ({"mu_scaling": 0.5, "mu_water": 0.24}, ["HU", "LinearAttenuation"]),
        ({"mu_scaling": 0, "mu_water": 0.24}, []),
    ],
)
def test_what_a_scanner_states_in_part_or_as_nonsense_is_no_line(stated, unit_types):
    assert [one.unit_type for one in ScancoCalibration(**stated).calibrations()] == unit_types


def test_a_density_without_a_unit_is_in_milligrams_of_hydroxyapatite():
    (density,) = ScancoCalibration(mu_scaling=1, density_slope=2.0, density_intercept=1.0).calibrations()
    assert density.unit_name == "mg HA/ccm"


@pytest.mark.parametrize(
    ("slope", "intercept", "unit_name", "scaling", "whole"),
    [
        (1 / 8192, 0.0, "1/cm", 8192, 8192),
        (1 / 8192, 0.0, None, 8192, 8192),
        (1 / 81920, 0.0, "1/mm", 8192, 8192),
        (1 / 4096.5, 0.0, "1/cm", 4096.5, 1),
        (1 / 2.0**31, 0.0, "1/cm", 2.0**31, 1),
        (1 / (2.0**31 - 1), 0.0, "1/cm", 2.0**31 - 1, 2.0**31 - 1),
        (1 / 8192, 1e-14, "1/cm", 8192, 8192),
        (1 / 8192, 1e-12, "1/cm", 1, 1),
        (1 / 8192, -1e-12, "1/cm", 1, 1),
        (-1 / 8192, 0.0, "1/cm", 1, 1),
        (1 / 8192, 0.0, "1/pixel", 1, 1),
        (1e-320, 0.0, "1/cm", 1, 1),
    ],
)
def test_a_file_of_a_scanner_states_attenuation_only_as_its_formula_has_it(slope, intercept, unit_name, scaling, whole):
    attenuation = line("linearattenuation", slope, intercept, unit_name=unit_name)
    assert ScancoCalibration.of([attenuation]).mu_scaling == scaling
    assert ScancoCalibration.of([attenuation], whole_scaling=True).mu_scaling == whole


@pytest.mark.parametrize(
    ("slope", "intercept", "unit_name", "mu_water"),
    [
        (2.0, -1000.0, "HU", 500), (2.0, -1000.0, None, 500), (2.0, -1000.0000001, "Hounsfield", 500),
        (2.0, -1001.0, "HU", None), (2.0, 0.0, "HU", None), (-2.0, -1000.0, "HU", None), (2.0, -1000.0, "kHU", None),
    ],
)  # fmt: skip
def test_a_file_of_a_scanner_states_hounsfield_units_only_where_air_is_at_minus_1000(
    slope, intercept, unit_name, mu_water
):
    stated = ScancoCalibration.of([line("hu", slope, intercept, unit_name=unit_name)])
    assert stated == ScancoCalibration(mu_scaling=1.0, mu_water=mu_water)


def test_lines_too_steep_or_too_flat_for_the_formulas_are_left_out():
    flat = line("LinearAttenuation", 5e-324, 0.0, unit_name="1/m")
    assert ScancoCalibration.of([flat, line("HU", 5e-324, -1000.0)]) == ScancoCalibration(mu_scaling=1.0)
    steep = [line("LinearAttenuation", 1e-9, 0.0), line("Density", 1e300, 0.0), line("HU", 1e300, -1000.0)]
    stated = ScancoCalibration.of(steep)
    assert stated.density_slope is None
    assert [one.unit_type for one in stated.calibrations()] == ["LinearAttenuation"]


def test_of_several_lines_to_one_unit_a_file_of_a_scanner_states_the_first_and_none_that_is_not_known():
    lines = [line("Density", 2, 3, unit_name="g/l"), line("density", 5, 6), on("Foo", "HU", 1, -1000)]
    assert ScancoCalibration.of(lines) == ScancoCalibration(
        mu_scaling=1.0, density_slope=2.0, density_intercept=3.0, density_unit="g/l"
    )
    assert ScancoCalibration.of([on("Raw", "Density", 2, 3), line("Raw", 5, 7)]).density_slope == 10
