"""Images over HTTP: descriptions, tiles and the virtual OME-Zarr, with the rights of the files."""

import os
import time

import attrs
import numpy as np
import pytest
import tifffile
from litestar.testing import TestClient

from xfworker.adapters.disk import local_files
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
    monkeypatch.setattr(local_files, "_KNOWN_SECONDS", -1.0)
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
        is_local = request.param == "on this machine"
        yield attrs.make_class("Served", ["client", "platform", "folder", "is_local"])(
            client, platform, folder, is_local
        )


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


def test_where_links_are_turned_off_none_is_made_and_none_is_followed(served, tmp_path):
    link = served.client.post("/images/v1/userdata/scans/a.omni").json()["ome_zarr"]
    store = FolderFileStore(tmp_path / "files")
    with (
        viewed_images(store, tmp_path / "other") as images,
        TestClient(create_app(served.platform, routes=[image_api(images, served.platform, links=False)])) as client,
    ):
        client.headers["Authorization"] = served.client.headers["Authorization"]
        for answer in (client.post("/images/v1/userdata/scans/a.omni"), client.get(f"{link}/zarr.json")):
            assert answer.status_code == 403
            assert "--no-image-links" in answer.json()["detail"]
        assert client.get("/images/v1/userdata/scans/a.omni").status_code == 200


def test_a_link_to_the_virtual_ome_zarr_is_for_this_image_alone_and_ends(served):
    made = served.client.post("/images/v1/userdata/scans/a.omni")
    assert made.status_code == 201
    served.client.headers.pop("Authorization")
    link = made.json()["ome_zarr"]
    assert served.client.get(f"{link}/zarr.json").status_code == 200
    assert served.client.get(f"{link.replace('a.omni', 'part.omni')}/zarr.json").status_code == 403
    assert made.json()["expires_at"] is not None
    assert served.client.post(link.removesuffix(".ome.zarr")).status_code == 422, "a link makes no other link"


def slices_of(folder, voxels, name="slice_{:03}.tif"):
    folder.mkdir(parents=True, exist_ok=True)
    for number, plane in enumerate(voxels):
        tifffile.imwrite(folder / name.format(number), plane, resolution=(1000, 1000), resolutionunit="CENTIMETER")


def tile(served, address, described, place):
    answer = served.client.get(f"/images/v1/{address}?tile={described['key']}.{place}")
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, described["pixel_type"].replace("uint", "<u").replace("16", "2"))


def test_slices_that_are_a_file_each_are_one_image(served, voxels):
    grey = (voxels + 3000).astype(np.uint16)
    slices_of(served.folder, grey, "bone_{}.tif")
    slices_of(served.folder, grey[:4] + 1, "other_{:02}.tif")
    described = description(served.client, "bone_7.tif.series", complete=True)
    assert (described["size"], described["format"], described["name"]) == ([300, 90, 70], "TIFF folder", "bone_7.tif")
    assert described["spacing_mm"] == pytest.approx([0.01] * 3)
    address = "userdata/scans/bone_7.tif.series"
    assert np.array_equal(tile(served, address, described, "bricks.x.0.299.0.0").reshape(70, 90), grey[:, :, 299])
    assert np.array_equal(tile(served, address, described, "bricks.z.0.69.0.0").reshape(90, 256), grey[69, :, :256])
    assert description(served.client, "bone_7.tif")["size"] == [300, 90, 1]
    link = served.client.post(f"/images/v1/{address}").json()["ome_zarr"]
    served.client.headers.pop("Authorization")
    chunk = served.client.get(f"{link}/0/c/0/0/0")
    assert np.array_equal(np.frombuffer(chunk.content, "<u2").reshape(64, 64, 64), grey[:64, :64, :64])
    # The token of the link is one for this image: not for its files, and not for the image beside it.
    for other in ("bone_7.tif", "other_00.tif.series"):
        assert served.client.get(f"{link.partition('userdata')[0]}userdata/scans/{other}").status_code == 403


def test_a_token_for_one_slice_is_none_for_its_series(served, voxels):
    slices_of(served.folder, voxels.astype(np.uint16)[:3])
    one = {"Authorization": f"Bearer {file_token(served.platform, 'userdata/scans/slice_000.tif')}"}
    assert served.client.get("/images/v1/userdata/scans/slice_000.tif", headers=one).status_code == 200
    assert served.client.get("/images/v1/userdata/scans/slice_000.tif.series", headers=one).status_code == 403
    whole = {"Authorization": f"Bearer {file_token(served.platform, 'userdata/scans')}"}
    assert served.client.get("/images/v1/userdata/scans/slice_000.tif.series", headers=whole).status_code == 200


def test_a_folder_is_one_image_and_a_slice_more_is_another(served, voxels):
    grey = (voxels + 3000).astype(np.uint16)
    slices_of(served.folder / "series", grey[:9])
    described = description(served.client, "series", complete=True)
    assert described["size"] == [300, 90, 9]
    slices_of(served.folder / "series", grey[:10])
    patient = time.monotonic() + 20
    while description(served.client, "series")["size"] != [300, 90, 10]:
        assert time.monotonic() < patient  # what a folder holds may be known for a moment
        time.sleep(0.05)
    former = f"/images/v1/userdata/scans/series?tile={described['key']}.image.z.0.0.0.0"
    assert served.client.get(former).status_code == 404


def test_a_folder_of_chunks_is_one_image(served, voxels):
    write_image(served.folder, "stored.ome.zarr", voxels, spacing_mm=(0.03, 0.03, 0.06))
    assert (served.folder / "stored.ome.zarr").is_dir()
    described = description(served.client, "stored.ome.zarr", complete=True)
    assert (described["size"], described["spacing_mm"]) == ([300, 90, 70], [0.03, 0.03, 0.06])
    chunk = served.client.get("/images/v1/userdata/scans/stored.ome.zarr.ome.zarr/0/c/0/0/0")
    assert np.array_equal(np.frombuffer(chunk.content, "<i2").reshape(64, 64, 64), voxels[:64, :64, :64])


def test_what_is_not_an_image_is_said_of_folders_and_series_too(served):
    for name, status in (("nothing", 404), ("nothing.tif.series", 404), ("a.omni.series", 422)):
        answer = served.client.get(f"/images/v1/userdata/scans/{name}")
        assert answer.status_code == status, answer.text
    assert served.client.get("/images/v1/userdata").status_code == 422


@pytest.mark.skipif(os.name == "nt", reason="links ask for a privilege there")
def test_a_link_among_slices_is_not_followed(served, voxels, tmp_path):
    slices_of(served.folder / "linked", voxels.astype(np.uint16)[:3])
    (tmp_path / "secret.tif").write_bytes((served.folder / "linked" / "slice_001.tif").read_bytes())
    (served.folder / "linked" / "slice_003.tif").symlink_to(tmp_path / "secret.tif")
    answer = served.client.get("/images/v1/userdata/scans/linked")
    if served.is_local:
        assert answer.status_code >= 400
        assert "slice_003.tif is a link" in answer.json()["detail"]
    else:
        assert answer.json()["size"] == [300, 90, 3]


def difference(client, one, other):
    return client.get(f"/images/v1/userdata/scans/{one}?minus=userdata/scans/{other}")


def test_the_difference_of_two_images_is_in_the_unit_that_both_have(served, voxels):
    density = {"spacing_mm": (0.03, 0.03, 0.06), "origin_mm": (1, 2, 3), "default_unit_type": "Density"}
    finer = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.25, intercept=-50.0)
    write_image(served.folder, "b.omni", (2 * voxels + 40).astype(np.int16), calibrations=(finer,), **density)
    for name in ("a.omni", "b.omni"):
        description(served.client, name, complete=True)
    described = difference(served.client, "b.omni", "a.omni").json()
    assert (described["pixel_type"], described["default_unit_type"]) == ("float32", "Density")
    assert described["calibrations"] == [
        {"unit_type": "Density", "unit_name": "mg HA/ccm", "slope": 1.0, "intercept": 0.0}
    ]
    # 0.25 * (2 a + 40) - 50 - (0.5 a - 100) = 60, wherever one looks.
    assert described["window"] == [-60.0, 60.0]
    key = described["key"]
    for place, size in (("bricks.x.0.299.0.0", 70 * 90), ("bricks.z.1.3.0.0", 45 * 150), ("image.z.0.3.0.0", 90 * 256)):
        address = f"/images/v1/userdata/scans/b.omni?minus=userdata/scans/a.omni&tile={key}.{place}"
        answer = served.client.get(address)
        assert answer.status_code == 200, answer.text
        values = np.frombuffer(answer.content, "<f4")
        assert values.size == size
        np.testing.assert_allclose(values, 60.0, atol=0.5 if place[9] == "1" else 0)
        assert served.client.get(address, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    other = difference(served.client, "a.omni", "b.omni").json()
    assert (other["key"] != key, other["window"]) == (True, [-60.0, 60.0])


def test_images_of_other_grids_or_units_have_no_difference_and_the_sentence_says_why(served, voxels):
    same = {"spacing_mm": (0.03, 0.03, 0.06), "origin_mm": (1, 2, 3)}
    write_image(served.folder, "small.omni", voxels[:9], **same)
    write_image(served.folder, "coarse.omni", voxels, spacing_mm=(0.04, 0.03, 0.06), origin_mm=(1, 2, 3))
    write_image(served.folder, "beside.omni", voxels, spacing_mm=(0.03, 0.03, 0.06), origin_mm=(1.03, 2, 3))
    write_image(served.folder, "raw.omni", voxels, **same)
    for name, reason in (
        ("part.omni", "part.omni has segments"),
        ("small.omni", "they have 300 x 90 x 70 and 300 x 90 x 9 voxels; bring both to one grid first"),
        ("coarse.omni", "along x its voxels are 0.03 mm apart, not 0.04 mm"),
        ("beside.omni", "beside the other"),
        ("raw.omni", "their values are in mg HA/ccm and no unit, and have no unit in common"),
    ):
        answer = difference(served.client, "a.omni", name)
        assert (answer.status_code, reason in answer.json()["detail"]) == (400, True), answer.text
        assert str(served.folder) not in answer.text


def test_whoever_sees_a_difference_may_read_both_images(served):
    one = {"Authorization": f"Bearer {file_token(served.platform, 'userdata/scans/a.omni', 'userdata/scans/a.raw')}"}
    address = "/images/v1/userdata/scans/a.omni?minus=userdata/scans/part.omni"
    assert served.client.get(address, headers=one).status_code == 403
