import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import structlog

from xfworker.adapters.images.abandoned_files import sweep
from xfworker.api.facade import omni
from xfworker.domain.errors import ImageError, ImageFormatError, UsageError
from xfworker.services.images.conversion import convert

_WINDOWS_ONLY = pytest.mark.skipif(sys.platform != "win32", reason="elsewhere it is a file name")
DENSITY = omni.Calibration(
    type="slope_intercept", unit_type="Density", unit_name="mg HA/ccm", slope=0.2, intercept=-390.0
)


@pytest.fixture
def scan(tmp_path, bone):
    image = omni.create_image(
        tmp_path / "scan.omni",
        size=(30, 21, 13),
        pixel_type="int16",
        spacing_mm=(0.0607, 0.0607, 0.082),
        origin_mm=(1, 2, 3),
        calibrations=[DENSITY],
        default_unit_type="Density",
    )
    image.pixels = bone
    image.save()
    return omni.open_image(tmp_path / "scan.omni")


def test_a_saved_image_is_opened_with_everything(scan, bone):
    assert (scan.size, scan.size_3d_tuple, scan.axes, scan.pixels_count) == (
        [30, 21, 13],
        (30, 21, 13),
        "XYZ",
        bone.size,
    )
    assert (scan.spacing_mm, scan.origin_mm) == ((0.0607, 0.0607, 0.082), (1.0, 2.0, 3.0))
    assert scan.pixel_calibrations_of_unit_type("density") == [DENSITY]
    assert scan.pixel_calibrations_of_unit_type("HU") == []
    assert (scan.default_pixel_calibration_unit_type, scan.additional_pixels_filenames) == ("Density", [])
    assert scan.pixels_paths() == [scan.metadata_path.with_suffix(".raw")]
    assert isinstance(scan.pixels, np.memmap)
    np.testing.assert_array_equal(scan.pixels, bone)


def test_opened_pixels_cannot_be_changed_by_accident(scan):
    with pytest.raises(ValueError, match="read-only"):
        scan.pixels[0, 0, 0] = 1


def test_a_derived_image_inherits_and_overrides(scan, tmp_path, bone):
    derived = scan.derive_image(tmp_path / "d.omni", tmp_path / "d.raw", {"pixel_type": "float32", "note": "mine"})
    derived.pixels[...] = scan.pixels * 0.5
    derived.save()
    again = omni.open_image(tmp_path / "d.omni")
    assert (again.pixel_type, again.metadata["note"], again.origin_mm) == ("float32", "mine", (1.0, 2.0, 3.0))
    assert again.pixel_calibrations == [DENSITY]
    np.testing.assert_array_equal(again.pixels, bone * np.float32(0.5))
    assert scan.metadata["pixel_type"] == "int16"


def test_segments_are_labels_without_calibration(scan, tmp_path):
    labels = [{"value": 1, "name": "bone"}]
    segments = scan.derive_segments(tmp_path / "s.omni", tmp_path / "s.raw", labels=labels)
    segments.pixels = scan.pixels > 1500
    segments.save()
    again = omni.open_image(tmp_path / "s.omni")
    assert (again.kind, again.pixel_type, again.labels, again.pixel_calibrations) == ("segments", "uint8", labels, [])
    np.testing.assert_array_equal(again.pixels, (scan.pixels > 1500).view(np.uint8))


def test_a_script_may_write_the_pixels_file_itself(scan, tmp_path, bone):
    derived = scan.derive_image(tmp_path / "d.omni", tmp_path / "d.raw")
    (bone + 1).tofile(tmp_path / "d.raw")
    derived.save()
    np.testing.assert_array_equal(omni.open_image(tmp_path / "d.omni").pixels, bone + 1)


def test_a_derived_image_never_takes_the_pixels_of_its_source(scan, bone):
    path = scan.pixels_paths()[0]
    for names in (("seg.omni", path.name), (path.name, "seg.raw")):
        with pytest.raises(UsageError, match="would destroy the pixels"):
            scan.derive_segments(*(path.with_name(name) for name in names))
    with pytest.raises(UsageError, match="both metadata and pixels"):
        omni.create_image(path.with_name("one.raw"), size=(1, 1, 1), pixel_type="uint8")
    np.testing.assert_array_equal(scan.pixels, bone)


def test_a_pixels_file_of_another_size_is_replaced_and_not_cut_short(scan, tmp_path, bone):
    older = omni.create_image(tmp_path / "d.omni", size=(2, 2, 2), pixel_type="uint8")
    older.pixels = np.zeros((2, 2, 2), np.uint8)
    older.save()
    mapped = omni.open_image(tmp_path / "d.omni").pixels
    derived = scan.derive_image(tmp_path / "d.omni", tmp_path / "d.raw")
    derived.pixels[:] = bone
    derived.save()
    assert not mapped.any()
    np.testing.assert_array_equal(omni.open_image(tmp_path / "d.omni").pixels, bone)


def test_pixels_stay_when_the_metadata_cannot_be_written(scan, bone):
    scan.pixels = bone + 1
    scan.metadata["operator"] = object()
    with pytest.raises(ImageError, match="cannot be written as JSON"):
        scan.save()
    np.testing.assert_array_equal(omni.open_image(scan.metadata_path).pixels, bone)
    assert len(list(scan.metadata_path.parent.iterdir())) == 2


def test_an_old_document_is_never_found_with_new_pixels(scan, tmp_path, formats, write_array, bone, monkeypatch):
    old = scan.metadata_path.read_text("utf-8")
    replace = Path.replace

    def gone(self, target):
        if Path(target).suffix == ".raw":
            assert not scan.metadata_path.exists()
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", gone)
    with pytest.raises(ImageError, match="Input/output error"):
        write_array(scan.metadata_path, bone.astype(np.float32))
    assert scan.metadata_path.read_text("utf-8") == old
    np.testing.assert_array_equal(omni.open_image(scan.metadata_path).pixels, bone)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "a disk without hard links"])
def test_an_old_image_is_there_again_when_the_new_document_does_not_get_its_name(
    scan, tmp_path, write_array, bone, monkeypatch, links
):
    old = scan.metadata_path.read_text("utf-8")
    replace, refusals = Path.replace, [OSError(5, "Input/output error")]

    def refused_once(self, target):
        if Path(target) == scan.metadata_path and refusals:
            raise refusals.pop()
        return replace(self, target)

    def link(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "replace", refused_once)
    if not links:
        monkeypatch.setattr(os, "link", link)
    with pytest.raises(ImageError, match="Input/output error"):
        write_array(scan.metadata_path, bone.astype(np.float32))
    assert scan.metadata_path.read_text("utf-8") == old
    np.testing.assert_array_equal(omni.open_image(scan.metadata_path).pixels, bone)
    assert len(list(tmp_path.iterdir())) == 2


def test_an_old_document_that_cannot_be_put_back_is_named(scan, tmp_path, write_array, bone, monkeypatch):
    old = scan.metadata_path.read_bytes()

    def gone(self, target):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", gone)
    with pytest.raises(ImageError, match=r"Rename it to scan\.omni to have it back") as caught:
        write_array(scan.metadata_path, bone.astype(np.float32))
    [aside] = [path for path in tmp_path.iterdir() if path.name in str(caught.value) and path.name.startswith(".xf")]
    assert aside.read_bytes() == old


def test_what_cannot_be_removed_yet_of_an_old_image_is_swept_later(scan, tmp_path, write_array, bone, monkeypatch):
    unlink = Path.unlink

    def refused(self, *, missing_ok=False):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refused)
    write_array(scan.metadata_path, bone + 1)
    monkeypatch.setattr(Path, "unlink", unlink)
    assert len(list(tmp_path.iterdir())) == 4
    for path in tmp_path.iterdir():
        os.utime(path, (1e9, 1e9))
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan.omni", "scan.raw"]
    np.testing.assert_array_equal(omni.open_image(scan.metadata_path).pixels, bone + 1)


@pytest.mark.parametrize("name", ["scan.omni", "scan.raw"])
def test_a_folder_in_the_place_of_a_new_image_stays(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "precious").write_bytes(b"kept")
    image = omni.create_image(tmp_path / "scan.omni", size=(2, 2, 2), pixel_type="uint8")
    image.pixels = np.ones((2, 2, 2), np.uint8)
    with pytest.raises((ImageError, UsageError), match=rf"scan\.{name[5:]} "):
        image.save()
    assert (folder / "precious").read_bytes() == b"kept"
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("name", ["", ".", "..", "/", pytest.param("C:", marks=_WINDOWS_ONLY)])
def test_an_image_needs_a_file_name(scan, name):
    with pytest.raises(UsageError, match="needs a file name"):
        omni.create_image(Path(name), size=(2, 2, 2), pixel_type="uint8")
    with pytest.raises(UsageError, match="needs a file name"):
        omni.create_image(Path("a.omni"), size=(2, 2, 2), pixel_type="uint8", raw_path=Path(name))
    with pytest.raises(UsageError, match="needs a file name"):
        scan.derive_image(Path(name), Path("a.raw"))


def test_metadata_are_not_saved_before_the_pixels_are_there(scan, tmp_path):
    derived = scan.derive_image(tmp_path / "d.omni", tmp_path / "d.raw")
    with pytest.raises(ImageError, match=r"d\.raw"):
        derived.save()
    (tmp_path / "d.raw").write_bytes(b"too short")
    with pytest.raises(ImageFormatError, match="cut short"):
        derived.save()
    assert not (tmp_path / "d.omni").exists()


def test_metadata_and_pixels_stay_in_one_folder(scan, tmp_path):
    with pytest.raises(UsageError, match="one folder"):
        scan.derive_image(tmp_path / "d.omni", tmp_path / "elsewhere" / "d.raw")


def test_unknown_keys_survive(scan, tmp_path, formats):
    document = json.loads(scan.metadata_path.read_text())
    document["vendor"] = {"keep": [1, 2]}
    scan.metadata_path.write_text(json.dumps(document))
    image = omni.open_image(scan.metadata_path)
    image.save()
    convert(formats, scan.metadata_path, tmp_path / "copy.omni")
    for name in ("scan.omni", "copy.omni"):
        assert json.loads((tmp_path / name).read_text())["vendor"] == {"keep": [1, 2]}


def test_importing_points_into_the_file(tmp_path, write_array, bone):
    aim = write_array(tmp_path / "SCAN.AIM", bone)
    image = omni.open_image(aim)
    assert image.pixels_filename == "SCAN.AIM"
    image.save()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SCAN.AIM", "SCAN.omni"]
    again = omni.open_image(tmp_path / "SCAN.omni")
    assert isinstance(again.pixels, np.memmap)
    np.testing.assert_array_equal(again.pixels, bone)
    offset = again.metadata["pixels"]["offset"]
    np.testing.assert_array_equal(np.fromfile(aim, "<i2", bone.size, offset=offset).reshape(bone.shape), bone)


@pytest.mark.parametrize("change", [{"size": [30, 21, 12]}, {"size": [21, 30, 13]}, {"pixel_type": "uint8"}])
def test_a_document_is_refused_that_says_other_pixels_than_the_file_has_that_it_points_into(
    tmp_path, formats, write_array, bone, change
):
    mask = np.where(bone > 1500, 127, 0).astype(np.int8)
    omni.open_image(write_array(tmp_path / "SCAN.AIM", mask, encoding="binCmp")).save()
    path = tmp_path / "SCAN.omni"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | change), "utf-8")
    for opening in (formats.describe, formats.reader):
        with pytest.raises(ImageFormatError, match=r"says .*, but SCAN\.AIM has \[30, 21, 13\] of type int8"):
            opening(path)


def test_what_a_document_stated_of_its_pixels_is_not_stated_of_others(tmp_path, write_array, bone):
    path = write_array(tmp_path / "a.omni", bone, source={"format": "AIM", "voxels": {"xxh3-128": "0" * 32}})
    assert json.loads(path.read_text("utf-8"))["source"] == {"format": "AIM"}


def test_encoded_pixels_are_decoded_slice_by_slice(tmp_path, write_array, bone):
    mask = np.where(bone > 1500, 127, 0).astype(np.int8)
    image = omni.open_image(write_array(tmp_path / "mask.AIM", mask, encoding="binCmp"))
    pixels = image.pixels
    assert (pixels.shape, pixels.dtype, len(pixels)) == (mask.shape, mask.dtype, len(mask))
    some = (3, -1, slice(2, 5), slice(None, None, -3), (slice(1, 9, 4), 2), (4, 5, 6), ..., (0, slice(None), 1))
    for index in (*some, slice(9, 2)):
        np.testing.assert_array_equal(pixels[index], mask[index])
    np.testing.assert_array_equal(np.asarray(pixels), mask)
    with pytest.raises(IndexError):
        pixels[13]


@pytest.mark.parametrize("halo", [0, 1, 3])
def test_blocks_cover_every_slice_once_with_a_halo(scan, bone, halo):
    inner = []
    for block in scan.blocks(slices=4, halo=halo):
        first, last = max(0, block.start - halo), min(13, block.stop + halo)
        np.testing.assert_array_equal(block.pixels, bone[first:last])
        inner.append(block.inner_of(block.pixels))
    np.testing.assert_array_equal(np.concatenate(inner), bone)


def test_a_calibration_is_shown_as_a_formula_and_alike_ones_are_one():
    alike = omni.Calibration(DENSITY.metadata)
    assert {DENSITY, alike, omni.Calibration({**DENSITY.metadata, "slope": 3.0})} == {
        DENSITY,
        omni.Calibration({**DENSITY.metadata, "slope": 3.0}),
    }
    plain = omni.Calibration(unit_type="Mu", slope=0.5, intercept=0)
    assert repr(plain) == "<Calibration Mu = 0.5 * raw + 0.0 (slope_intercept)>"
    named = omni.Calibration(unit_type="Mu", unit_name="1/cm", slope=0.5, intercept=0)
    assert repr(named) == "<Calibration Mu [1/cm] = 0.5 * raw + 0.0 (slope_intercept)>"


def test_indirect_calibrations_go_all_the_way_from_raw(scan):
    scan.metadata["pixel_calibrations"] = [
        {"type": "slope_intercept_indirect", "unit_type": "Density", "slope": 1600, "intercept": -390,
         "indirect_base_unit_type": "Mu"},
        {"type": "slope_intercept", "unit_type": "Mu", "slope": 1 / 8192, "intercept": 0},
    ]  # fmt: skip
    (line,) = scan.pixel_calibrations_of_unit_type("Density")
    assert line.raw_to_calibrated(8192) == 1210
    assert line.calibrated_to_raw(1210) == 8192
    assert line.raw_stddev_to_calibrated_stddev(8192) == 1600
    assert line.raw_variance_to_calibrated_variance(8192.0**2) == 1600**2
    assert (line.slope, line.indirect_base_unit_type) == (1600, "Mu")
    alone = omni.Calibration(line.metadata)
    with pytest.raises(ImageError, match="not"):
        alone.raw_to_calibrated(1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"size": [30, 21]}, "size"),
        ({"size": [30, -1, 13]}, "size"),
        ({"size": [2**40, 2**40, 2**40]}, "size"),
        ({"size": [30.0, 21, 13]}, "size"),
        ({"axes": "XXZ"}, "axes"),
        ({"pixel_type": "complex"}, "pixel_type"),
        ({"pixel_type": ["int8"]}, "pixel_type"),
        ({"spacing_mm": [0, 1, 1]}, "spacing_mm"),
        ({"kind": "banana"}, "kind"),
        ({"pixels": {"filename": "../scan.raw"}}, "pixels.filename"),
        ({"pixels": {"filename": "a/b"}}, "pixels.filename"),
        ({"pixels": {"filename": "scan.raw", "offset": -1}}, "pixels.offset"),
        ({"pixels": {"filename": "scan.raw", "encoding": "zip"}}, None),
        ({"pixels": {"filename": "scan.omni", "encoding": "OMNI"}}, None),
        ({"spacing_mm": [1e-300, 1, 1]}, "spacing_mm"),
        ({"origin_mm": [1e300, 1, 1]}, "origin_mm"),
        ({"pixels": None}, "pixels"),
        ({"pixel_calibrations": [{"unit_type": "Density", "slope": 0, "intercept": 1}]}, "pixel_calibrations[0]"),
        ({"additional_pixels_filenames": ["\0"]}, "additional_pixels_filenames[0]"),
        ({"additional_pixels_filenames": "scan.raw"}, "additional_pixels_filenames"),
        ({"labels": 7}, "labels"),
        ({"format": "OMNI3"}, "format"),
        ({"pixels": {"filename": "scan.raw", "encoding": ""}}, "pixels.encoding"),
        ({"pixels": {"filename": ".."}}, "pixels.filename"),
        ({"byte_order": "middle"}, "byte_order"),
        ({"spacing_mm": [1, 1]}, "spacing_mm"),
        ({"direction": [1, 0, 0]}, "direction"),
        ({"direction": [1, 0, 0, 0, 1, 0, 0, 0, True]}, "direction"),
        ({"default_pixel_calibration_unit_type": 7}, "default_pixel_calibration_unit_type"),
        ({"pixel_calibrations": {"unit_type": "Density"}}, "pixel_calibrations"),
        ({"pixel_calibrations": [{**DENSITY.metadata, "unit_type": ""}]}, "pixel_calibrations[0]"),
        ({"pixel_calibrations": [{**DENSITY.metadata, "type": "curve"}]}, "pixel_calibrations[0]"),
        ({"pixel_calibrations": [{**DENSITY.metadata, "slope": "2"}]}, "pixel_calibrations[0]"),
        ({"pixel_calibrations": [{**DENSITY.metadata, "type": "slope_intercept_indirect"}]}, "pixel_calibrations[0]"),
        ({"source": "x"}, "source"),
    ],
)
def test_a_wrong_key_is_named(scan, change, named):
    scan.metadata_path.write_text(json.dumps({**scan.metadata, **change}))
    with pytest.raises(ImageError) as caught:
        omni.open_image(scan.metadata_path)
    assert "scan.omni" in str(caught.value)
    assert named is None or caught.value.field == named


@pytest.mark.parametrize("text", ["", "[1]", '{"a": NaN}', "[" * 100_000, "\ud800"])
def test_what_is_not_a_document_is_refused(tmp_path, text):
    path = tmp_path / "a.omni"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ImageError, match=r"a\.omni"):
        omni.open_image(path)


def test_metadata_are_read_without_numpy(scan):
    code = (
        "import sys, pathlib; from xfworker.api.facade import omni;"
        f"image = omni.open_image(pathlib.Path({str(scan.metadata_path)!r})); image.size, image.pixel_calibrations;"
        "image.derive_segments(image.metadata_path.with_name('s.omni'), image.metadata_path.with_name('s.raw'));"
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_more_axes_than_space(tmp_path):
    image = omni.create_image(tmp_path / "a.omni", size=(3, 4, 5, 6), pixel_type="uint16", axes="CXYT")
    image.pixels = np.arange(360, dtype=np.uint16).reshape(6, 5, 4, 3)
    image.save()
    again = omni.open_image(tmp_path / "a.omni")
    assert (again.pixels.shape, again.size_3d_tuple) == ((6, 5, 4, 3), (4, 5, 1))
    assert [block.pixels.shape for block in again.blocks(slices=4)] == [(4, 5, 4, 3), (2, 5, 4, 3)]


def test_what_a_file_does_not_state_is_written_to_the_log(tmp_path):
    header = "ObjectType = Image\nNDims = 1\nDimSize = 2\nElementType = MET_CHAR\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(header.encode() + bytes(2))
    with structlog.testing.capture_logs() as events:
        omni.open_image(tmp_path / "a.mha")
    assert [(event["event"], event["image"], event["assumption"]) for event in events] == [
        ("xfworker.image_assumption", "a.mha", "states no spacing (ElementSpacing); 1 mm is taken")
    ]
