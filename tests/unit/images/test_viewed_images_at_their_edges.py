"""What the viewer of images does at its edges: images that are prepared, changed, shared or not shown."""

import os
import time
from threading import Event, Thread

import attrs
import numpy as np
import pytest

from tests.unit.images.test_pyramids import prepared, random_voxels, viewed, written
from xfworker.adapters.bricks.folder import BrickFolder
from xfworker.adapters.images.registry import image_formats
from xfworker.domain.errors import ServerBusy, UsageError
from xfworker.domain.files import parse_resource
from xfworker.domain.image.calibration import Calibration
from xfworker.services.images.bricks import RecentBricks
from xfworker.services.images.image_difference import ImageDifference
from xfworker.services.images.preparation import ImagePreparation
from xfworker.services.images.registered_image import RegisteredImage
from xfworker.services.images.viewed_image import BRICKS, IMAGE, SAMPLED, ViewedImage
from xfworker.services.images.viewing import ViewedImages
from xfworker.services.images.virtual_ome_zarr import array_document, chunk_bytes, group_document

DENSITY = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.5, intercept=-100.0)
LINEAR = Calibration(unit_type="Linear", unit_name="1/cm", slope=0.1, intercept=0.0)


def pair(folder, one, other):
    paths = [
        written(folder, np.zeros((3, 4, 5), np.int16), f"{name}.omni", **fields)
        for name, fields in (("a", one), ("b", other))
    ]
    with viewed(paths[0], folder / "cache", key="a") as image, viewed(paths[1], folder / "cache", key="b") as second:
        return ImageDifference(image, second).unit


@pytest.mark.parametrize(
    ("one", "other", "unit"),
    [
        ({}, {}, None),
        ({"calibrations": (DENSITY, LINEAR)}, {"calibrations": (LINEAR, DENSITY)}, "Density"),
        ({"calibrations": (DENSITY, LINEAR)}, {"calibrations": (LINEAR,), "default_unit_type": "Linear"}, "Linear"),
        ({"calibrations": (DENSITY,), "default_unit_type": "Density"}, {"calibrations": (DENSITY, LINEAR)}, "Density"),
    ],
)
def test_a_difference_is_in_a_unit_that_both_have(tmp_path, one, other, unit):
    assert pair(tmp_path, one, other).unit_type == unit


def test_values_without_a_unit_in_common_have_no_difference(tmp_path):
    with pytest.raises(UsageError, match="their values are in mg HA/ccm and no unit, and have no unit in common"):
        pair(tmp_path, {"calibrations": (DENSITY,)}, {})


def test_while_one_of_two_images_is_prepared_tiles_come_from_what_both_have(tmp_path):
    voxels = random_voxels((70, 70, 300), "i2")
    paths = [written(tmp_path, voxels, name) for name in ("a.omni", "b.omni")]
    with viewed(paths[0], tmp_path / "cache", key="a") as one, viewed(paths[1], tmp_path / "cache", key="b") as other:
        prepared(one)
        difference = ImageDifference(one, other)
        assert difference.sources("z") == [IMAGE, IMAGE]
        assert difference.sources("x") == [None, None]
        other.sample(lambda: None)
        assert difference.sources("x") == [None, SAMPLED]
        assert difference.sources("y")[0] == IMAGE
        assert np.abs(difference.tile(SAMPLED, "x", 1, 3, 0, 0)).max() == 0
        other.build(lambda _: None)
        assert difference.sources("x") == [BRICKS, BRICKS]


def test_a_virtual_ome_zarr_of_labels_has_no_window_and_absent_chunks_are_empty(tmp_path):
    labels = np.zeros((64, 64, 65), np.uint8)
    labels[0, 0, 64] = 1
    with viewed(written(tmp_path, labels, kind="segments"), tmp_path / "cache") as image:
        prepared(image)
        assert "omero" not in group_document(image)["attributes"]["ome"]
        assert array_document(image, 0)["data_type"] == "uint8"
        assert chunk_bytes(image, 0, 0, 0, 0) is None
        padded = np.frombuffer(chunk_bytes(image, 0, 0, 0, 1), np.uint8).reshape(64, 64, 64)
        assert (padded[0, 0, 0], padded.sum()) == (1, 1)
        with pytest.raises(UsageError, match=r"has no level 9 \(yet\)"):
            array_document(image, 9)


def test_before_any_level_is_there_a_virtual_ome_zarr_is_busy(tmp_path):
    with viewed(
        written(tmp_path, np.zeros((70, 70, 300), np.int8), "mask.aim", encoding="binCmp"), tmp_path / "cache"
    ) as image:
        with pytest.raises(ServerBusy, match="is being prepared for viewing"):
            group_document(image)
        with pytest.raises(UsageError, match=r"has levels 0 to 1, not 7"):
            image.chunk(7, 0, 0, 0)
        with pytest.raises(UsageError, match="has no chunk 9/0/0 at level 0"):
            image.chunk(0, 9, 0, 0)
        with (
            pytest.raises(UsageError, match="has axes XY; volumes are moved onto volumes"),
            viewed(written(tmp_path, random_voxels((8, 9), "i2"), "flat.omni"), tmp_path / "cache", key="f") as flat,
        ):
            RegisteredImage(image, flat, tuple(np.eye(4).ravel()))


class Files:
    """Files of the store in a folder, whose content is known by its time."""

    def __init__(self, folder):
        self.folder, self.meanwhile = folder, lambda: None

    def local_path(self, resource):
        return self.folder / resource.filename

    def content_id(self, resource):
        path = self.folder / resource.filename
        self.meanwhile()
        return f"{path.stat().st_mtime_ns} {path.stat().st_size}"


@pytest.fixture
def images(tmp_path, formats):
    files = Files(tmp_path)
    images = ViewedImages(files, formats, BrickFolder(tmp_path / "cache", limit_bytes=1 << 30), ImagePreparation())
    images.files = files
    yield images
    images.close()


SCAN = parse_resource("userdata/a.omni")


def test_two_that_open_one_image_at_once_share_it(tmp_path, images):
    written(tmp_path, random_voxels((3, 4, 5), "i2"))
    found = []

    def other_viewer():
        images.files.meanwhile = lambda: None
        thread = Thread(target=lambda: found.append(images.open(SCAN, lambda _: None).__enter__()))
        thread.start()
        thread.join()

    images.files.meanwhile = other_viewer
    with images.open(SCAN, lambda _: None) as image:
        assert [image] == found


def test_an_image_whose_file_changed_is_opened_anew_while_somebody_still_looks_at_the_former_one(tmp_path, images):
    path = written(tmp_path, random_voxels((3, 4, 5), "i2"))
    with images.open(SCAN, lambda _: None) as former:
        os.utime(path, (1, 1))
        with images.open(SCAN, lambda _: None) as image:
            assert image is not former
        assert former.tile(IMAGE, "z", 0, 0, 0, 0).shape == (4, 5)


class Elsewhere:
    """Formats of another maker, whose documents name files anywhere."""

    def describe(self, path):
        return attrs.evolve(image_formats().describe(path), pixels_path=path.parent.parent / "b.raw")


def test_an_image_with_files_elsewhere_or_other_axes_is_not_shown(tmp_path, images, series):
    written(tmp_path, random_voxels((3, 4, 5), "i2"))
    elsewhere = ViewedImages(
        images.files, Elsewhere(), BrickFolder(tmp_path / "cache", limit_bytes=1), ImagePreparation()
    )
    with (
        pytest.raises(UsageError, match=r"a\.omni has files in other folders; images of one folder are shown"),
        elsewhere.open(SCAN, lambda _: None),
    ):
        pass
    elsewhere.close()
    with image_formats().writer(series.path, series) as writer:
        writer.write(np.zeros((2, 3, 4), np.int16))
    with (
        pytest.raises(UsageError, match="axes"),
        images.open(parse_resource("userdata/series.omni"), lambda _: None),
    ):
        pass


def test_an_image_whose_pyramid_failed_says_why_to_who_asks_for_it(tmp_path):
    with viewed(written(tmp_path, random_voxels((70, 70, 300), "i2")), tmp_path / "cache") as image:
        with pytest.raises(ServerBusy, match=r"is being prepared for viewing \(0%\)") as caught:
            image.chunk(1, 0, 0, 0)
        assert caught.value.retry_after_seconds == 1.0
        image.fail("the disk is full")
        with pytest.raises(ServerBusy, match="could not be prepared for viewing: the disk is full") as caught:
            image.chunk(1, 0, 0, 0)
        assert caught.value.retry_after_seconds == 60


def test_an_image_of_which_no_sample_can_be_taken_is_not_built(tmp_path):
    preparation = ImagePreparation()
    cache = BrickFolder(tmp_path / "cache", limit_bytes=1 << 30)
    image = Steps(written(tmp_path, random_voxels((70, 70, 300), "i2")), cache)
    image.sample = lambda _: 1 / 0
    preparation.prepare(image)
    while preparation.uses(image):
        time.sleep(0.001)  # a thread of its own prepares
    assert (image.image.state, image.builds) == ("failed", 0)
    assert image.image.reason == "the server failed at it; its log says why"
    preparation.close()
    image.image.close()


class Steps:
    """An image whose building waits until it is let go on."""

    def __init__(self, path, cache):
        self.image = ViewedImage(image_formats().reader(path), "k", cache, RecentBricks(1 << 20))
        self.began, self.go_on, self.pauses, self.builds = Event(), Event(), 0, 0

    def __getattr__(self, name):
        return getattr(self.image, name)

    def build(self, pause):
        self.builds += 1
        self.state_seen = self.image.state
        self.image.state = "building"
        self.began.set()
        assert self.go_on.wait(60)
        for part in (0.0, 0.5):
            pause(part)
            self.pauses += 1
        self.image.state = "waiting" if self.builds == 1 else "complete"


def test_what_is_under_way_is_not_prepared_once_more_and_what_was_begun_anew_meanwhile_is(tmp_path):
    cache = BrickFolder(tmp_path / "cache", limit_bytes=1 << 30)
    preparation, image = ImagePreparation(), Steps(written(tmp_path, random_voxels((3, 4, 5), "i2")), cache)
    preparation.prepare(image)
    assert image.began.wait(60)
    assert preparation.uses(image)
    preparation.prepare(image)
    other = ImagePreparation()
    other.prepare(image)  # another one builds it already
    other.close()
    with preparation.viewing():
        image.go_on.set()
        while not image.pauses:
            time.sleep(0.001)  # it waits a little for who looks at another image
    while preparation.uses(image):
        time.sleep(0.001)  # a thread of its own prepares
    assert (image.builds, image.pauses) == (2, 4)
    preparation.close()
    image.image.close()


def test_what_is_prepared_or_under_way_is_not_prepared_once_more(tmp_path):
    preparation = ImagePreparation()
    with viewed(written(tmp_path, random_voxels((3, 4, 5), "i2")), tmp_path / "cache") as image:
        prepared(image)
        preparation.prepare(image)
        assert not preparation.uses(image)
    preparation.close()
