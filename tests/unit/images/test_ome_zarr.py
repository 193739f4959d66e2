"""OME-Zarr as other programs write it, and what is written of it as zarr itself sees it."""

import json

import numpy as np
import pytest
import zarr

from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage
from xfworker.domain.image.calibration import Calibration
from xfworker.services.images.conversion import convert

RNG = np.random.default_rng(3)
UNITS = ("micrometer", "millimeter", "micrometer")


def axes(names, units):
    kinds = {"t": "time", "c": "channel"}
    return [
        {"name": name, "type": kinds.get(name, "space"), **({"unit": unit} if unit else {})}
        for name, unit in zip(names, units, strict=True)
    ]


def scaled(*transformations):
    return [{"type": kind, kind: list(numbers)} for kind, numbers in transformations]


def foreign(path, array, version, scales, attributes=None):
    """Write a group as other programs do: 0.4 over zarr 2, 0.5 over zarr 3."""
    group = zarr.create_group(str(path), zarr_format=2 if version == "0.4" else 3)
    group.create_array(scales["datasets"][0]["path"], data=array)
    own = {"multiscales": [{"version": version, **scales} if version == "0.4" else scales], **(attributes or {})}
    group.attrs.update(own if version == "0.4" else {"ome": {"version": version, **own}})
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("before", ["", "c", "tc"])
def test_scales_and_places_are_read_in_their_units(tmp_path, formats, read_array, version, before):
    volume = RNG.integers(0, 60_000, (5, 6, 7), np.uint16)
    ones = [1.0] * len(before)
    scales = {
        "axes": axes(f"{before}zyx", [None] * len(before) + list(UNITS)),
        "datasets": [
            {
                "path": "s0",
                "coordinateTransformations": scaled(
                    ("scale", [*ones, 20, 0.01, 10]), ("translation", [*[0.0] * len(before), 40, 0.5, -30])
                ),
            }
        ],
    }
    path = foreign(tmp_path / "a.zarr", volume.reshape(*[1] * len(before), *volume.shape), version, scales)
    info = formats.describe(path)
    assert (info.format, info.format_version, info.size, info.axes) == ("OME-Zarr", version, (7, 6, 5), "XYZ")
    assert info.spacing_mm == (0.01, 0.01, 0.02)
    assert info.origin_mm == (-0.03, 0.5, 0.04)
    assert info.assumptions == ()
    np.testing.assert_array_equal(read_array(path), volume)


def test_transformations_of_all_levels_come_after_those_of_one(tmp_path, formats):
    scales = {
        "axes": axes("yx", ["millimeter", "millimeter"]),
        "datasets": [{"path": "0", "coordinateTransformations": scaled(("scale", (2, 3)), ("translation", (10, 20)))}],
        "coordinateTransformations": scaled(("scale", (0.5, 0.1))),
    }
    info = formats.describe(foreign(tmp_path / "a.zarr", np.zeros((4, 5), np.uint8), "0.5", scales))
    assert (info.axes, info.size) == ("XY", (5, 4))
    assert info.spacing_mm[:2] == pytest.approx((0.3, 1.0))
    assert info.origin_mm[:2] == pytest.approx((2.0, 5.0))


def test_what_is_not_stated_is_named(tmp_path, formats):
    plain = {"axes": axes("zyx", [None] * 3), "datasets": [{"path": "0"}]}
    info = formats.describe(foreign(tmp_path / "a.zarr", np.zeros((2, 3, 4), np.uint8), "0.4", plain))
    assert info.assumptions == ("states no spacing; 1 mm is taken",)
    plain["datasets"][0]["coordinateTransformations"] = scaled(("scale", (1, 2, 3)))
    info = formats.describe(foreign(tmp_path / "b.zarr", np.zeros((2, 3, 4), np.uint8), "0.4", plain))
    assert len(info.assumptions) == 3
    assert info.spacing_mm == (3, 2, 1)


def test_a_label_image_is_segments(tmp_path, formats):
    scales = {"axes": axes("zyx", UNITS), "datasets": [{"path": "0"}]}
    path = foreign(tmp_path / "a.zarr", np.zeros((2, 3, 4), np.uint8), "0.5", scales, {"image-label": {}})
    assert formats.describe(path).kind == "segments"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axes": axes("zyx", ["parsec"] * 3)}, "parsec"),
        ({"axes": axes("xyz", UNITS)}, "z, y, x"),
        ({"axes": axes("zy", UNITS[:2])}, "2 axes"),
        ({"datasets": [{"path": "../elsewhere"}]}, "leads out"),
        ({"datasets": []}, "names no array"),
        ({"datasets": [{"path": "absent"}]}, "absent"),
        ({"datasets": [{"path": "0", "coordinateTransformations": [{"type": "affine"}]}]}, "affine"),
        ({"datasets": [{"path": "0", "coordinateTransformations": scaled(("scale", (1, 2)))}]}, "3 finite"),
        ({"datasets": [{"path": "0", "coordinateTransformations": scaled(("scale", (1, -2, 1)))}]}, "cannot be right"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(tmp_path, formats, change, message):
    scales = {"axes": axes("zyx", UNITS), "datasets": [{"path": "0"}]}
    path = foreign(tmp_path / "a.zarr", np.zeros((2, 3, 4), np.uint8), "0.5", scales)
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"]["ome"]["multiscales"] = [{**scales, **change}]
    (path / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(ImageError, match=message):
        formats.describe(path)


def test_several_channels_are_refused(tmp_path, formats):
    scales = {"axes": axes("czyx", [None, *UNITS]), "datasets": [{"path": "0"}]}
    path = foreign(tmp_path / "a.zarr", np.zeros((2, 3, 4, 5), np.uint8), "0.4", scales)
    with pytest.raises(UnsupportedImage, match="2 pixels along c"):
        formats.describe(path)


@pytest.mark.parametrize("kind", ["image", "segments"])
def test_a_pyramid_is_written_that_zarr_reads(tmp_path, write_array, formats, read_array, kind):
    values = RNG.integers(0, 5, (33, 70, 601)).astype(np.uint8 if kind == "segments" else np.int16)
    line = (Calibration(unit_type="Density", slope=2.0, intercept=-1.0),) if kind == "image" else ()
    place = {"spacing_mm": (0.01, 0.02, 0.03), "origin_mm": (1.0, 2.0, 3.0), "calibrations": line}
    path = write_array(tmp_path / "a.ome.zarr", values, slab=7, kind=kind, **place)
    group = zarr.open_group(str(path), mode="r")
    ome = group.attrs["ome"]
    (image,) = ome["multiscales"]
    assert ome["version"] == "0.5"
    assert [axis["unit"] for axis in image["axes"]] == ["millimeter"] * 3
    assert [level["path"] for level in image["datasets"]] == ["0", "1", "2"]
    np.testing.assert_array_equal(group["0"][:], values)
    half = values[:32, :70, :600].reshape(16, 2, 35, 2, 300, 2)
    if kind == "image":
        np.testing.assert_array_equal(group["1"][:], np.rint(half.mean(axis=(1, 3, 5))))
    assert (group["1"].shape, group["2"].shape) == ((16, 35, 300), (8, 17, 150))
    scale, translation = image["datasets"][1]["coordinateTransformations"]
    assert scale["scale"] == pytest.approx([0.06, 0.04, 0.02])
    assert translation["translation"] == pytest.approx([3.015, 2.01, 1.005])
    info = formats.describe(path)
    assert (info.kind, info.calibrations, info.spacing_mm, info.origin_mm) == (
        kind, line, place["spacing_mm"], place["origin_mm"],
    )  # fmt: skip
    np.testing.assert_array_equal(read_array(path), values)
    assert [item.name for item in tmp_path.iterdir()] == ["a.ome.zarr"]


def test_a_flat_image_has_a_pyramid_as_well(tmp_path, write_array, read_array):
    values = RNG.integers(0, 5, (300, 301), np.int16)
    path = write_array(tmp_path / "a.ome.zarr", values, axes="XY", slab=50)
    np.testing.assert_array_equal(read_array(path), values)
    half = values[:, :300].reshape(150, 2, 150, 2).mean(axis=(1, 3))
    np.testing.assert_array_equal(zarr.open_group(str(path), mode="r")["1"][:], np.rint(half))


def test_a_conversion_there_and_back_keeps_everything(tmp_path, write_array, read_array, formats, bone):
    direction = (0, -1, 0, 1, 0, 0, 0, 0, 1)
    source = write_array(
        tmp_path / "a.omni", bone, spacing_mm=(0.0607, 0.0607, 0.082), origin_mm=(1, 2, 3), direction=direction
    )
    convert(formats, source, tmp_path / "a.ome.zarr")
    convert(formats, tmp_path / "a.ome.zarr", tmp_path / "b.omni")
    before, after = formats.describe(source), formats.describe(tmp_path / "b.omni")
    assert (before.spacing_mm, before.origin_mm, before.direction) == (
        after.spacing_mm, after.origin_mm, after.direction,
    )  # fmt: skip
    np.testing.assert_array_equal(read_array(tmp_path / "b.omni"), bone)


def test_an_existing_folder_is_not_replaced(tmp_path, write_array, bone):
    (tmp_path / "a.ome.zarr").mkdir()
    with pytest.raises(ImageError, match="exists"):
        write_array(tmp_path / "a.ome.zarr", bone)


def test_a_damaged_group_is_an_error_with_its_name(tmp_path, formats):
    folder = tmp_path / "a.zarr"
    folder.mkdir()
    (folder / "zarr.json").write_text("{")
    with pytest.raises(ImageFormatError, match=r"a\.zarr"):
        formats.describe(folder)
