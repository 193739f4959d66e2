"""An AIM or ISQ holds a calibration exactly, or the loss is named: never another line in its place."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xfworker.adapters.images import ctdata_header
from xfworker.api.facade import omni
from xfworker.domain.errors import UnsupportedImage
from xfworker.domain.image import processing_log
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.losses import calibration_losses
from xfworker.domain.image.scanco_calibration import ScancoCalibration
from xfworker.services.images.conversion import convert
from xfworker.services.script.ipl_image import IplImages

RAW = np.full((4, 4, 4), 300, np.int16)


def line(unit_type, slope, intercept, unit_name=None):
    return Calibration(unit_type=unit_type, unit_name=unit_name, slope=slope, intercept=intercept)


DENSITY = line("Density", 0.2, -390.5, "mg HA/ccm")
CT = line("HU", 1, -1024, "HU")
WATER = line("HU", 0.5, -1000, "HU")
ATTENUATION = line("LinearAttenuation", 1 / 8192, 0, "1/cm")


@pytest.fixture
def converted(tmp_path, formats, write_array):
    """Convert an image with these calibrations; give the calibrations of the file and the losses."""

    def convert_to(suffix, *calibrations):
        source = write_array(tmp_path / "a.omni", RAW, calibrations=calibrations, spacing_mm=(0.25, 0.25, 0.25))
        done = convert(formats, source, tmp_path / f"b.{suffix}")
        return {found.unit_type: found for found in done.target.calibrations}, done.losses

    return convert_to


@pytest.mark.parametrize("suffix", ["AIM", "isq"])
@pytest.mark.parametrize(
    "calibrations",
    [
        (DENSITY,),
        (WATER,),
        (ATTENUATION,),
        (DENSITY, WATER),
        (DENSITY, WATER, ATTENUATION),
        # Mu_Scaling, slope and mu_water follow from three lines that have nothing to do with one another.
        (line("Density", -3, 7, "mg HA/ccm"), line("HU", 12.5, -1000, "HU"), ATTENUATION),
    ],
)
def test_lines_that_the_formulas_hold_come_back(converted, suffix, calibrations):
    held, losses = converted(suffix, *calibrations)
    assert losses == ()
    assert len(held) == len(calibrations)
    for stated in calibrations:
        assert held[stated.unit_type].line() == pytest.approx(stated.line(), rel=1e-12)


@pytest.mark.parametrize("suffix", ["AIM", "isq"])
@pytest.mark.parametrize(
    ("lost", "named"),
    [
        (line("HU", 1, 0, "HU"), "the calibration HU = 1 * raw + 0 HU is not kept"),
        (CT, "HU = 1 * raw - 1024 HU is not kept"),
        (line("HU", -1, -1000), "HU = -1 * raw - 1000 is not kept"),
        (line("HU", 1, -1000, "kHU"), "kHU is not kept"),
        (line("LinearAttenuation", 1 / 8192, 0.25, "1/cm"), "0.25 1/cm is not kept"),
        (line("LinearAttenuation", 1 / 8192, 0, "1/pixel"), "1/pixel is not kept"),
        (line("LinearAttenuation", -1 / 8192, 0), "LinearAttenuation = -0.000"),
        (line("ElectronDensity", 2, 3), "ElectronDensity = 2 * raw + 3 is not kept"),
    ],
)
def test_a_line_that_they_cannot_hold_is_named_and_no_other_one_suffers(converted, suffix, lost, named):
    held, losses = converted(suffix, lost, DENSITY)
    assert [loss for loss in losses if named in loss] == list(losses)
    assert len(losses) == 1
    assert list(held) == ["Density"]
    assert held["Density"].line() == DENSITY.line()


def test_attenuation_per_millimetre_is_stated_per_centimetre(converted):
    held, losses = converted("AIM", line("LinearAttenuation", 1 / 81920, 0, "1/mm"))
    assert losses == ()
    assert held["LinearAttenuation"].unit_name == "1/cm"
    assert held["LinearAttenuation"].raw_to_calibrated(8192) == 1


def test_an_isq_states_its_scaling_as_an_integer_or_not_at_all(converted):
    stated = line("LinearAttenuation", 1 / 4096.5, 0, "1/cm")
    assert converted("AIM", stated)[1] == ()
    held, losses = converted("isq", stated, DENSITY)
    assert list(held) == ["Density"]
    assert ["LinearAttenuation" in loss for loss in losses] == [True]


def test_of_two_calibrations_to_one_unit_the_second_is_named(converted):
    held, losses = converted("AIM", DENSITY, line("Density", 0.3, 0, "mg HA/ccm"))
    assert held["Density"] == DENSITY
    assert ["0.3 * raw + 0 mg HA/ccm becomes Density = 0.2 * raw" in loss for loss in losses] == [True]


def test_an_indirect_calibration_without_its_base_is_named(converted):
    stray = Calibration(
        type="slope_intercept_indirect", unit_type="HU", slope=1, intercept=-1000, indirect_base_unit_type="Foo"
    )
    assert converted("AIM", stray)[1] == (
        "the calibration to HU is not kept: it is stated on Foo, which the image does not have",
    )


@pytest.mark.parametrize("changed", [(WATER,), (DENSITY, WATER), (line("Density", 0.5, 1, "mg HA/ccm"),), ()])
def test_a_calibration_that_was_changed_on_the_way_is_what_the_aim_says(tmp_path, formats, write_array, changed):
    original = (DENSITY, ATTENUATION)
    aim = write_array(tmp_path / "a.AIM", RAW, calibrations=original)
    image = omni.open_image(aim)
    assert image.pixel_calibrations == list(original)
    convert(formats, aim, tmp_path / "b.omni")
    image = omni.open_image(tmp_path / "b.omni")
    image.metadata["pixel_calibrations"] = [one.metadata for one in changed]
    image.save()
    done = convert(formats, tmp_path / "b.omni", tmp_path / "c.AIM")
    assert done.losses == ()
    assert [one.line() for one in done.target.calibrations] == [one.line() for one in changed]
    before = formats.describe(aim).processing_log
    assert done.target.processing_log.startswith(before)


def test_ipl_is_given_no_image_whose_values_would_change(tmp_path, formats, write_array):
    source = write_array(tmp_path / "a.omni", RAW, calibrations=(CT, DENSITY))
    images = IplImages(formats)
    with pytest.raises(UnsupportedImage, match=r"HU = 1 \* raw - 1024 HU is not kept.*allow_calibration_loss=True"):
        images.convert(source, lambda: tmp_path / "b.AIM")
    assert not (tmp_path / "b.AIM").exists()
    path = images.convert(source, lambda: tmp_path / "b.AIM", allow_calibration_loss=True)
    assert formats.describe(path).calibrations == (DENSITY,)


def test_values_in_units_that_cannot_be_compared_are_not_the_same():
    stated, held = line("Density", 0.5, 1, "mg HA/ccm"), line("Density", 0.5, 1, "g/l")
    [lost] = calibration_losses([stated], [held])
    assert lost == "the calibration Density = 0.5 * raw + 1 mg HA/ccm becomes Density = 0.5 * raw + 1 g/l"
    assert calibration_losses([line("Mu", 1, 0, "1/mm")], [line("Mu", 10, 0, "1/cm")]) == ()


numbers = st.floats(1e-6, 1e6)
anything = st.one_of(st.none(), st.tuples(numbers | numbers.map(lambda n: -n), st.floats(-1e6, 1e6)))


@settings(max_examples=200, deadline=None)
@given(anything, anything, anything, st.sampled_from(["1/cm", "1/mm", None]), st.booleans())
def test_what_is_not_named_as_lost_reads_the_same(density, hu, attenuation, unit, is_isq):
    stated = tuple(
        line(unit_type, *found, name)
        for unit_type, found, name in (
            ("Density", density, "mg HA/ccm"),
            ("HU", hu and (hu[0], -1000.0 if hu[1] > 0 else hu[1]), "HU"),
            ("LinearAttenuation", attenuation and (attenuation[0], 0.0 if attenuation[1] > 0 else 1), unit),
        )
        if found
    )
    scale = ScancoCalibration.of(stated, whole_scaling=is_isq)
    if is_isq:
        data = ctdata_header.encode_isq(
            fields={},
            dim=(1, 1, 1),
            extent_um=(1, 1, 1),
            name="",
            calibration=scale,
            calibration_name="",
            created=dt.datetime(2000, 1, 1, tzinfo=dt.UTC),
        )
        held = ctdata_header.parse(data, "a.isq", len(data) + 2).calibration.calibrations()
    else:
        log = "\n".join(processing_log.calibration_lines(scale, None))
        held = processing_log.calibration_of(log).calibrations()
    lost = " ".join(calibration_losses(stated, held))
    for one in stated:
        found = next((other for other in held if other.unit_type == one.unit_type), None)
        per_mm = 10 if one.unit_name == "1/mm" else 1
        if f"calibration {one.unit_type} " not in lost:
            assert found.line() == pytest.approx((one.slope * per_mm, one.intercept * per_mm), rel=1e-9)
        else:
            assert one.unit_type != "Density"


@pytest.mark.parametrize(("unit_type", "taken"), [("Density", "mg HA/ccm"), ("LinearAttenuation", "1/cm")])
def test_a_unit_that_is_taken_where_none_is_named_is_named(tmp_path, formats, write_array, bone, unit_type, taken):
    line = Calibration(unit_type=unit_type, slope=0.25, intercept=0)
    source = write_array(tmp_path / "a.omni", bone, calibrations=(line,))
    expected = (f"no unit of {unit_type} is named; the file states {taken}",)
    assert convert(formats, source, tmp_path / "a.AIM").losses == expected
