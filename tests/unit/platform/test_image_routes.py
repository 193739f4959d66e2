"""Images over HTTP: descriptions, tiles and the virtual OME-Zarr, with the rights of the files."""

import time

import attrs
import numpy as np
import pytest
from litestar.testing import TestClient

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.images.registry import image_formats
from xfworker.adapters.s3 import local_copies
from xfworker.adapters.web.app import create_app
from xfworker.adapters.web.image_routes import image_api
from xfworker.api.composition.platform import memory_platform
from xfworker.api.composition.viewed_images import viewed_images
from xfworker.domain.files import Scope, parse_resource
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.services.platform.principal import ADMIN

DENSITY = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.5, intercept=-100.0)


def write_image(folder, name, voxels, **fields):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    info = ImageInfo(
        path=path,
        format="OMNI",
        size=voxels.shape[::-1],
        pixel_type=PixelType(str(voxels.dtype)),
        pixels_path=path,
        **fields,
    )
    with image_formats().writer(path, info) as writer:
        writer.write(voxels)


@pytest.fixture
def voxels():
    return np.random.default_rng(1).integers(-3000, 3000, (70, 90, 300)).astype(np.int16)


class Elsewhere:
    """A store whose files do not lie on this machine, such as a bucket."""

    def __init__(self, store):
        self.stat, self.open_file, self.list = store.stat, store.open_file, store.list


@pytest.fixture(params=["on this machine", "elsewhere"])
def served(request, tmp_path, voxels, monkeypatch):
    platform = memory_platform()
    store = FolderFileStore(tmp_path / "files")
    monkeypatch.setattr(local_copies, "_KNOWN_SECONDS", -1.0)
    folder = tmp_path / "files" / "userdata" / "scans"
    write_image(
        folder,
        "a.omni",
        voxels,
        spacing_mm=(0.03, 0.03, 0.06),
        origin_mm=(1, 2, 3),
        calibrations=(DENSITY,),
        default_unit_type="Density",
    )
    write_image(
        folder,
        "part.omni",
        (voxels[10:20, :, :200] > 0).astype(np.uint8),
        kind="segments",
        spacing_mm=(0.03, 0.03, 0.06),
        origin_mm=(1, 2, 3.6),
    )
    with (
        viewed_images(store if request.param == "on this machine" else Elsewhere(store), tmp_path / "cache") as images,
        TestClient(create_app(platform, routes=[image_api(images, platform)])) as client,
    ):
        client.headers["Authorization"] = f"Bearer {platform.admin_token()}"
        yield attrs.make_class("Served", ["client", "platform", "folder"])(client, platform, folder)


def description(client, name="a.omni", query="", *, complete=False):
    while True:
        answer = client.get(f"/images/v1/userdata/scans/{name}{query}")
        assert answer.status_code == 200, answer.text
        described = answer.json()
        if not complete or described["pyramid"]["state"] == "complete":
            return described
        assert described["pyramid"]["state"] != "failed"
        time.sleep(0.01)  # the server builds in the background; it offers nothing to wait for


def file_token(platform, *resources):
    return platform.server_for(ADMIN).file_token([Scope("read", parse_resource(one)) for one in resources]).token


def test_a_description_says_sizes_lengths_calibrations_and_what_is_there(served):
    described = description(served.client, complete=True)
    assert described["size"] == [300, 90, 70]
    assert described["spacing_mm"] == [0.03, 0.03, 0.06]
    assert described["calibrations"] == [
        {"unit_type": "Density", "unit_name": "mg HA/ccm", "slope": 0.5, "intercept": -100.0}
    ]
    assert [level["sources"] for level in described["levels"]] == [dict.fromkeys("zyx", "bricks")] * 2
    assert described["window"][0] < 0 < described["window"][1]


def test_tiles_are_raw_little_endian_voxels_that_a_browser_keeps_for_ever(served, voxels):
    key = description(served.client, complete=True)["key"]
    answer = served.client.get(f"/images/v1/userdata/scans/a.omni?tile={key}.bricks.x.0.299.0.0")
    np.testing.assert_array_equal(np.frombuffer(answer.content, "<i2").reshape(70, 90), voxels[:, :, 299])
    assert "immutable" in answer.headers["Cache-Control"]
    etag = answer.headers["ETag"]
    again = served.client.get(answer.url, headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)


def test_labels_travel_compressed_and_say_where_they_lie_over_the_image(served, voxels):
    described = description(served.client, "part.omni", "?over=userdata/scans/a.omni")
    assert described["offset"] == [0, 0, 10]
    answer = served.client.get(f"/images/v1/userdata/scans/part.omni?tile={described['key']}.image.z.0.0.0.0")
    assert answer.headers["Content-Encoding"] == "gzip"
    np.testing.assert_array_equal(
        np.frombuffer(answer.content, "u1").reshape(90, 200), (voxels[10, :, :200] > 0).astype(np.uint8)
    )


def test_a_changed_file_gets_a_new_key_and_its_old_tiles_are_gone(served, voxels):
    key = description(served.client, complete=True)["key"]
    write_image(served.folder, "a.omni", voxels + np.int16(1))
    assert served.client.get(f"/images/v1/userdata/scans/a.omni?tile={key}.bricks.z.0.0.0.0").status_code == 404
    changed = description(served.client, complete=True)["key"]
    assert changed != key
    answer = served.client.get(f"/images/v1/userdata/scans/a.omni?tile={changed}.bricks.z.0.0.0.0")
    np.testing.assert_array_equal(np.frombuffer(answer.content, "<i2").reshape(90, 256), voxels[0, :, :256] + 1)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?tile=nonsense", 400),
        ("?tile={key}.bricks.q.0.0.0.0", 400),
        ("?tile={key}.image.x.0.0.0.0", 200),
        ("?tile={key}.bricks.z.9.0.0.0", 400),
        ("?tile={key}.bricks.z.0.70.0.0", 400),
        ("?tile=" + "0" * 32 + ".bricks.z.0.0.0.0", 404),
    ],
)
def test_a_tile_that_is_not_there_is_refused_with_a_sentence(served, query, status):
    key = description(served.client, complete=True)["key"]
    answer = served.client.get("/images/v1/userdata/scans/a.omni" + query.format(key=key))
    assert answer.status_code == (400 if "image.x" in query else status)
    assert answer.json()["detail"]


def test_images_are_read_with_the_rights_of_their_files_only(served):
    both = file_token(served.platform, "userdata/scans/a.omni", "userdata/scans/a.raw")
    document_only = file_token(served.platform, "userdata/scans/a.omni")
    get = served.client.get
    for token, status in ((both, 200), (document_only, 403), ("forged", 401)):
        answer = get("/images/v1/userdata/scans/a.omni", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status, answer.text
    served.client.headers.pop("Authorization")
    assert get("/images/v1/userdata/scans/a.omni").status_code == 401
    assert get(f"/images/v1/link/{document_only}/userdata/scans/a.omni").status_code == 403
    answer = get(f"/images/v1/link/{both}/userdata/scans/a.omni.ome.zarr/zarr.json")
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_file_that_is_not_an_image_is_refused_with_a_sentence(served):
    (served.folder / "notes.txt").write_text("hello")
    answer = served.client.get("/images/v1/userdata/scans/notes.txt")
    assert answer.status_code == 422
    assert "no image of a known format" in answer.json()["detail"]
    assert served.client.get("/images/v1/userdata/scans/absent.omni").status_code == 404
    assert served.client.get("/images/v1/userdata/scans/../../etc/passwd").status_code == 422


def test_the_virtual_ome_zarr_states_lengths_in_mm_and_names_calibrations(served):
    description(served.client, complete=True)
    group = served.client.get("/images/v1/userdata/scans/a.omni.ome.zarr/zarr.json").json()
    (scales,) = group["attributes"]["ome"]["multiscales"]
    assert [axis["name"] for axis in scales["axes"]] == ["z", "y", "x"]
    assert {axis["unit"] for axis in scales["axes"]} == {"millimeter"}
    coarse = scales["datasets"][1]["coordinateTransformations"]
    assert coarse[0]["scale"] == pytest.approx([0.12, 0.06, 0.06])
    assert coarse[1]["translation"] == pytest.approx([3.03, 2.015, 1.015])
    assert group["attributes"]["xfworker"]["calibrations"][0]["unit_name"] == "mg HA/ccm"
    array = served.client.get("/images/v1/userdata/scans/a.omni.ome.zarr/0/zarr.json").json()
    assert (array["shape"], array["data_type"]) == ([70, 90, 300], "int16")


def test_a_chunk_of_zeros_is_absent_and_names_of_other_versions_are_not_there(served, voxels):
    write_image(served.folder, "zeros.omni", np.zeros((5, 5, 5), np.uint16))
    base = "/images/v1/userdata/scans/zeros.omni.ome.zarr"
    assert served.client.get(f"{base}/0/c/0/0/0").status_code == 404
    for name in (".zgroup", ".zattrs", "0/.zarray", "0/c/0/0", ""):
        assert served.client.get(f"{base}/{name}").status_code == 404


def test_a_link_to_the_virtual_ome_zarr_is_for_this_image_alone_and_ends(served):
    made = served.client.post("/images/v1/userdata/scans/a.omni")
    assert made.status_code == 201
    served.client.headers.pop("Authorization")
    link = made.json()["ome_zarr"]
    assert served.client.get(f"{link}/zarr.json").status_code == 200
    assert served.client.get(f"{link.replace('a.omni', 'part.omni')}/zarr.json").status_code == 403
    assert made.json()["expires_at"] is not None
    assert served.client.post(link.removesuffix(".ome.zarr")).status_code == 422, "a link makes no other link"
