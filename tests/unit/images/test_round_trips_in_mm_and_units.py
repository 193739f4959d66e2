"""Whatever the place and the line of values: what comes back, and what other programs read, is the same or is named."""

import numpy as np
import pytest
import SimpleITK
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xfworker.adapters.images.registry import image_formats
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.services.images.conversion import convert

PIXELS = np.arange(-12, 12, dtype=np.int16).reshape(2, 3, 4)
sides = st.floats(1e-3, 50)
places = st.floats(-1e4, 1e4)
units = st.sampled_from([("Density", "mg HA/ccm"), ("HU", "HU"), ("LinearAttenuation", "1/cm"), ("Other", "x")])
lines = st.tuples(units, st.floats(1e-5, 1e4), st.one_of(st.just(-1000.0), st.just(0.0), places))


def turn(angle):
    """Give a direction that is turned about z."""
    return (np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha", ".tif", ".AIM", ".isq", ".vgi", ".zarr", ".omni"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spacing=st.tuples(sides, sides, sides),
    origin=st.tuples(places, places, places),
    angle=st.floats(-3, 3),
    line=lines,
)
def test_a_volume_comes_back_or_its_loss_is_named(tmp_path_factory, suffix, spacing, origin, angle, line):
    folder, formats = tmp_path_factory.mktemp("v"), image_formats()
    (unit_type, unit_name), slope, intercept = line
    calibration = Calibration(unit_type=unit_type, unit_name=unit_name, slope=slope, intercept=intercept)
    image = ImageInfo(
        path=folder / "a.omni",
        format="array",
        size=PIXELS.shape[::-1],
        pixel_type=PixelType.INT16,
        pixels_path=folder / "a.omni",
        spacing_mm=spacing,
        origin_mm=origin,
        direction=turn(angle),
        calibrations=(calibration,),
    )
    with formats.writer(folder / "a.omni", image) as writer:
        writer.write(PIXELS)
    done = convert(formats, folder / "a.omni", folder / f"b{suffix}")
    named = " ".join(done.losses)
    with formats.reader(folder / f"b{suffix}") as reader:
        np.testing.assert_array_equal(reader.read(0, 2), PIXELS)
    found = done.target
    if "the spacing" not in named:
        assert found.spacing_mm == pytest.approx(spacing, rel=1e-6)
    if "the origin" not in named:
        assert found.origin_mm == pytest.approx(origin, rel=1e-6, abs=1e-4)
    if "the axes point" not in named:
        assert found.direction == pytest.approx(turn(angle), abs=1e-5)
    if f"calibration {unit_type}" not in named:
        # A billionth of a raw value is nothing that a format has to keep.
        assert found.calibration(unit_type).line() == pytest.approx((slope, intercept), rel=1e-8, abs=1e-9 * slope)
    assert found.assumptions == ()
    if suffix in (".nii", ".nrrd", ".mha"):
        judge = SimpleITK.ReadImage(str(folder / f"b{suffix}"))
        assert judge.GetSpacing() == pytest.approx(spacing, rel=1e-5)
        assert judge.GetOrigin() == pytest.approx(origin, rel=1e-5, abs=1e-3)
        assert judge.GetDirection() == pytest.approx(turn(angle), abs=1e-4)
        if suffix == ".nii":
            np.testing.assert_allclose(
                SimpleITK.GetArrayFromImage(judge).astype(float),
                calibration.raw_to_calibrated(PIXELS.astype(float)),
                rtol=1e-5,
                atol=1e-5 * (abs(intercept) + 12 * slope),
            )
    if suffix == ".tif":
        with tifffile.TiffFile(folder / "b.tif") as file:
            stated, tags = file.imagej_metadata, file.pages[0].tags
            x, y = (tags[name].value[1] / tags[name].value[0] for name in ("XResolution", "YResolution"))
            assert (x, y, stated["spacing"]) == pytest.approx(spacing, rel=1e-6)
            inside = PIXELS + 32768.0
            np.testing.assert_allclose(
                stated["c0"] + stated["c1"] * inside,
                calibration.raw_to_calibrated(PIXELS.astype(float)),
                rtol=1e-9,
                atol=1e-9 * (abs(intercept) + 65536 * slope),
            )
