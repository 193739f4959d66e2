"""Images of the store as they are looked at: opened once, with the rights of their files, and as an OME-Zarr."""

import json
import re
from contextlib import ExitStack

import attrs
import numpy as np
import pytest

from tests.unit.images.test_pyramids import prepared, random_voxels, viewed, written
from xfworker.adapters.bricks.folder import BrickFolder
from xfworker.adapters.images.registry import image_formats
from xfworker.domain.errors import PermissionDenied, UsageError
from xfworker.domain.files import parse_resource
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.image.pyramid import Level, ngff_image
from xfworker.services.images.bricks import BrickVolume, RecentBricks, bricks_along
from xfworker.services.images.pyramid_building import PyramidBuilder
from xfworker.services.images.viewing import MOST_OPEN, ViewedImages, content_key
from xfworker.services.images.virtual_ome_zarr import array_document, chunk_bytes, group_document, little_endian

DENSITY = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.5, intercept=-100.0)
SCAN = parse_resource("userdata/a.omni")


class Files:
    """Files of the store in a folder; a series is named by one of its files."""

    def __init__(self, folder):
        self.folder, self.versions = folder, {}

    def local_path(self, resource):
        return self.folder / resource.filename.removesuffix(".series")

    def content_id(self, resource):
        return f"{resource.filename} {self.versions.get(resource.filename, 0)}"


class Formats:
    """The formats of this package, which count what is open."""

    def __init__(self):
        self.formats, self.opened, self.closed = image_formats(), [], []

    def describe(self, path):
        return self.formats.describe(path)

    def reader(self, path):
        return self._counted(self.formats.reader(path))

    def series_reader(self, path):
        return self._counted(self.formats.reader(path), "series of ")

    def _counted(self, reader, what=""):
        name = what + reader.info.path.name
        self.opened.append(name)
        close = reader.close
        reader.close = lambda: (self.closed.append(name), close())
        return reader


class Preparation:
    """Prepares nothing, and says of some images that they are being prepared."""

    def __init__(self):
        self.asked, self.in_work, self.is_closed = [], set(), False

    def prepare(self, image):
        self.asked.append(image.info.path.name)

    def uses(self, image):
        return image.info.path.name in self.in_work

    def close(self):
        self.is_closed = True


@pytest.fixture
def images(tmp_path):
    store = BrickFolder(tmp_path / "cache", limit_bytes=1 << 30)
    files, formats = Files(tmp_path), Formats()
    images = ViewedImages(files, formats, store, Preparation())
    images.files, images.formats = files, formats
    yield images
    images.close()


def anybody(_resource):
    pass


def look(images, resource=SCAN):
    with images.open(resource, anybody) as image:
        return image


def test_an_image_is_opened_once_and_prepared_whenever_it_is_looked_at(tmp_path, images):
    written(tmp_path, random_voxels((3, 4, 5), "i2"))
    assert look(images) is look(images)
    assert images.formats.opened == ["a.omni"]
    assert images.preparation.asked == ["a.omni", "a.omni"]
    images.close()
    assert (images.formats.closed, images.preparation.is_closed) == (["a.omni"], True)


def test_every_file_of_an_image_needs_its_right_whenever_it_is_looked_at(tmp_path, images):
    written(tmp_path, random_voxels((3, 4, 5), "i2"))
    asked = []

    def but_for(name):
        def authorize(resource):
            asked.append(str(resource))
            if resource.filename == name:
                raise PermissionDenied("no")

        return authorize

    for is_open in (False, True):
        for name, before in (("a.omni", ["userdata/a.omni"]), ("a.raw", ["userdata/a.omni"] * 2 + ["userdata/a.raw"])):
            asked.clear()
            with pytest.raises(PermissionDenied), images.open(SCAN, but_for(name)):
                pass
            assert asked == before
        assert images.formats.opened == ["a.omni"] * is_open
        assert [str(file) for file in look(images).files] == ["userdata/a.omni", "userdata/a.raw"]


def test_an_image_of_which_a_file_changed_is_closed_when_the_last_one_looks_away(tmp_path, images):
    written(tmp_path, random_voxels((3, 4, 5), "i2"))
    with images.open(SCAN, anybody) as former:
        images.files.versions["a.raw"] = 1
        with images.open(SCAN, anybody) as image:
            assert (image is former, image.key == former.key) == (False, False)
        assert images.formats.closed == []
    assert images.formats.closed == ["a.omni"]
    assert look(images) is image
    images.files.versions["a.raw"] = 2
    images.preparation.in_work.add("a.omni")
    with images.open(SCAN, anybody):
        pass
    assert images.formats.closed == ["a.omni"], "it is still being prepared"
    images.preparation.in_work.clear()
    look(images)
    assert images.formats.closed == ["a.omni"] * 2
    images.close()
    assert images.formats.closed == ["a.omni"] * 3


def test_an_image_that_two_open_at_once_is_closed_when_both_look_away(tmp_path, images):
    written(tmp_path, random_voxels((3, 4, 5), "i2"))
    other, content_id = ExitStack(), images.files.content_id

    def meanwhile(resource):
        images.files.content_id = content_id
        other.enter_context(images.open(SCAN, anybody))
        return content_id(resource)

    images.files.content_id = meanwhile
    assert look(images) is look(images)
    assert (images.formats.opened, images.formats.closed) == (["a.omni"] * 2, ["a.omni"])
    images.files.versions["a.raw"] = 1
    look(images)
    assert images.formats.closed == ["a.omni"], "the other one still looks at it"
    other.close()
    assert images.formats.closed == ["a.omni"] * 2


def test_what_was_looked_at_longest_ago_is_closed_when_too_many_are_open(tmp_path, images):
    names = [f"{number:02}" for number in range(MOST_OPEN + 3)]
    for name in names:
        written(tmp_path, np.ones((1, 1, 1), np.uint8), f"{name}.omni")
    images.preparation.in_work.add("01.omni")
    with ExitStack() as stack:
        stack.enter_context(images.open(parse_resource("userdata/02.omni"), anybody))
        for name in [*names[:2], *names[3:MOST_OPEN]]:
            look(images, parse_resource(f"userdata/{name}.omni"))
        assert images.formats.closed == []
        look(images, parse_resource("userdata/03.omni"))
        for name in names[MOST_OPEN:]:
            look(images, parse_resource(f"userdata/{name}.omni"))
    assert images.formats.closed == ["00.omni", "04.omni", "05.omni"]


def test_an_image_that_cannot_be_shown_is_closed(tmp_path, images):
    info = image_formats().describe(written(tmp_path, np.zeros((2, 3, 4), np.int16)))
    document = {**json.loads((tmp_path / "a.omni").read_text()), "axes": "XYT"}
    (tmp_path / "a.omni").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="axes XYT"):
        look(images)
    assert (images.formats.opened, images.formats.closed, info.axes) == (["a.omni"], ["a.omni"], "XYZ")


def test_a_series_and_a_folder_are_one_thing_each(tmp_path, images):
    written(tmp_path, random_voxels((3, 4, 5), "i2"))
    written(tmp_path, random_voxels((3, 4, 5), "i2"), "folder.ome.zarr")
    series, folder = (parse_resource(f"userdata/{name}") for name in ("a.omni.series", "folder.ome.zarr"))
    assert look(images, series).files == (series,)
    assert look(images, folder).files == (folder,)
    assert images.formats.opened == ["series of a.omni", "folder.ome.zarr"]
    # A file that has the name of a series is that file.
    written(tmp_path, random_voxels((3, 4, 5), "i2"), "b.omni").rename(tmp_path / "b.omni.series")
    images.files.local_path = lambda resource: tmp_path / resource.filename
    file = parse_resource("userdata/b.omni.series")
    assert look(images, file).files == (file, parse_resource("userdata/b.raw"))
    assert images.formats.opened[2:] == ["b.omni.series"]


def test_a_key_is_of_what_the_voxels_are_and_of_the_contents(describe_array):
    info = describe_array(np.zeros((2, 3, 4), np.int16))
    others = [
        attrs.evolve(info, encoding="other"), attrs.evolve(info, size=(4, 6, 1)), attrs.evolve(info, kind="segments"),
        attrs.evolve(info, pixel_type=PixelType.UINT16),
    ]  # fmt: skip
    keys = [content_key(one, ("a", "b")) for one in (info, *others)]
    keys += [content_key(info, contents) for contents in ((), ("a",), ("b", "a"))]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)
    assert content_key(attrs.evolve(info, spacing_mm=(2.0, 2.0, 2.0)), ("a", "b")) == keys[0]


# --- bricks in memory ------------------------------------------------------------------------------------------------


def test_bricks_that_were_used_longest_ago_are_dropped():
    brick, constant = np.arange(1000, dtype=np.int16), np.broadcast_to(np.int16([7]), (64, 64, 64))
    recent = RecentBricks(2 * (2000 + 512) + 512 + 2)
    for key, one in (("a", brick), ("b", brick), ("c", constant)):
        recent.put((key,), one)
    assert recent.get(("a",)) is brick
    recent.put(("d",), constant)
    assert [recent.get((key,)) is not None for key in "abcd"] == [True, False, True, True]
    small = RecentBricks(2511)
    small.put(("a",), brick)
    assert small.get(("a",)) is None
    assert [bricks_along(count) for count in (1, 63, 64, 65, 128, 129)] == [1, 1, 1, 2, 2, 3]


def test_a_brick_is_read_from_the_disk_once(tmp_path):
    store = BrickFolder(tmp_path, limit_bytes=1 << 30).pyramid("k")
    bricks = BrickVolume("k", store, "0", (70, 2, 3), np.dtype(np.int16), RecentBricks(1 << 20))
    voxels = random_voxels((3, 2, 70), "i2")
    bricks.write_layer(0, iter([voxels]))
    assert bricks.brick(0, 0, 1) is bricks.brick(0, 0, 1)
    np.testing.assert_array_equal(bricks.brick(0, 0, 1), voxels[:, :, 64:])


class Source:
    """A volume without any content, which says which boxes are read of it."""

    def __init__(self, *, has_boxes=True):
        self.has_boxes, self.dtype, self.boxes, self.layers = has_boxes, np.dtype(np.uint16), [], 1

    def box(self, *ranges):
        self.boxes.append(tuple(map(len, ranges)))
        return np.broadcast_to(np.uint16(7), self.boxes[-1])

    def has_layer(self, _layer):
        return False

    def write_layer(self, _layer, bands):
        assert all((band == 7).all() for band in bands)


@pytest.mark.parametrize(
    ("factors", "size", "has_boxes", "boxes"),
    [
        ((1, 1, 1), (2050, 65, 1), True, [(1, 64, 2048), (1, 64, 2), (1, 1, 2048), (1, 1, 2)]),
        ((2, 3, 1), (400, 1, 1), True, [(1, 3, 640), (1, 3, 160)]),
        ((1, 2, 3), (400, 1, 1), True, [(3, 2, 320), (3, 2, 80)]),
        ((5, 4, 2), (70, 1, 1), True, [(2, 4, 320), (2, 4, 30)]),
        ((1, 1, 1), (128, 8200, 1), False, [(1, 8192, 128), (1, 8, 128)]),
        ((1, 1, 1), (64 * 257, 65, 1), False, [(1, 64, 64 * 257), (1, 1, 64 * 257)]),
        ((2, 1, 1), (128, 4100, 1), False, [(1, 4096, 256), (1, 4, 256)]),
    ],
)
def test_some_bricks_are_made_at_once_and_where_slices_are_decoded_whole_more(factors, size, has_boxes, boxes):
    source = Source(has_boxes=has_boxes)
    PyramidBuilder(source, [Level(0, factors, size)], [Source()], is_labels=False).build(lambda _: None)
    assert source.boxes[: len(boxes)] == boxes


def test_a_coarse_level_is_made_of_the_bricks_of_the_one_below():
    levels, volumes = [Level(0, (1, 1, 1), (4200, 1, 1)), Level(1, (2, 1, 1), (2100, 1, 1))], [Source(), Source()]
    PyramidBuilder(Source(has_boxes=False), levels, volumes, is_labels=False).build(lambda _: None)
    assert volumes[0].boxes == [(1, 1, 2048), (1, 1, 2048), (1, 1, 104)]


# --- the virtual OME-Zarr --------------------------------------------------------------------------------------------


def test_the_documents_of_a_virtual_ome_zarr_are_those_of_its_specification(tmp_path):
    voxels = np.arange(300, dtype=np.int16).reshape(1, 1, 300).repeat(2, 0).repeat(2, 1)
    path = written(tmp_path, voxels, calibrations=(DENSITY,), labels=({"value": 1, "name": "bone"},))
    with viewed(path, tmp_path / "cache") as image:
        before = group_document(image)
        assert [level["path"] for level in before["attributes"]["ome"]["multiscales"][0]["datasets"]] == ["0"]
        prepared(image)
        ome = ngff_image(image.info, image.levels, "zyx")
        window = image.window()
        limits = {"min": window.low, "max": window.high, "start": window.low, "end": window.high}
        omero = {"channels": [{"label": "a.omni", "color": "FFFFFF", "active": True, "window": limits}]}
        line = {"unit_type": "Density", "unit_name": "mg HA/ccm", "slope": 0.5, "intercept": -100.0}
        own = {"calibrations": [line], "kind": "image", "labels": [{"value": 1, "name": "bone"}]}
        assert group_document(image) == {
            "zarr_format": 3, "node_type": "group", "attributes": {"ome": {**ome, "omero": omero}, "xfworker": own},
        }  # fmt: skip
        assert array_document(image, 1) == {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [1, 1, 150],
            "data_type": "int16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [64, 64, 64]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "attributes": {},
            "dimension_names": ["z", "y", "x"],
        }
    with viewed(written(tmp_path, voxels.astype(np.uint8), "b.omni"), tmp_path / "cache", key="b") as image:
        assert array_document(image, 0)["codecs"] == [{"name": "bytes"}]


def test_only_a_chunk_of_nothing_but_zeros_is_absent(tmp_path):
    voxels = np.zeros((1, 1, 200), np.float32)
    voxels[0, 0, 70], voxels[0, 0, 130] = -0.0, 1.5
    with viewed(written(tmp_path, voxels), tmp_path / "cache") as image:
        assert chunk_bytes(image, 0, 0, 0, 0) is None
        for chunk, place, bits in ((1, 6, b"\0\0\0\x80"), (2, 2, b"\0\0\xc0\x3f")):
            data = chunk_bytes(image, 0, 0, 0, chunk)
            assert len(data) == 4 * 64**3
            assert data[4 * place : 4 * place + 4] == bits
            assert data.count(0) > len(data) - 4
    assert little_endian(np.array([1, 256], ">i2")) == little_endian(np.array([1, 256], "<i2")) == b"\1\0\0\1"
