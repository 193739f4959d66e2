"""Errors about images name a file as its callers know it, never a path of the server's disk."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.unit.platform.test_image_routes import description, served, voxels, write_image  # noqa: F401  fixtures
from xfworker.domain.files import parse_resource
from xfworker.services.images.callers_names import CallersNames

IDENTITY = ",".join(f"{number:g}" for number in np.eye(4).flat)
TILE = f"{'0' * 32}.image.z.0.0.0.0"
BROKEN = {
    "a description": "GET {broken}",
    "a tile": f"GET {{broken}}?tile={TILE}",
    "its place over another": "GET {broken}?over={image}",
    "another's place over it": "GET {image}?over={broken}",
    "a difference": "GET {broken}?minus={image}",
    "a difference from it": "GET {image}?minus={broken}",
    "a tile of a difference": f"GET {{image}}?minus={{broken}}&tile={TILE}",
    "moved onto another": f"GET {{broken}}?onto={{image}}&transform={IDENTITY}",
    "another moved onto it": f"GET {{image}}?onto={{broken}}&transform={IDENTITY}",
    "a tile of one that is moved": f"GET {{image}}?onto={{broken}}&transform={IDENTITY}&tile={TILE}",
    "a zarr group": "GET {broken}.ome.zarr/zarr.json",
    "a zarr array": "GET {broken}.ome.zarr/0/zarr.json",
    "a zarr chunk": "GET {broken}.ome.zarr/0/c/0/0/0",
    "a link": "POST {broken}",
}


@pytest.mark.parametrize("broken", ["broken.tif", "broken.txt", "folder.zarr", "broken.dcm.series"])
@pytest.mark.parametrize("request_for", BROKEN)
def test_an_image_that_cannot_be_opened_is_named_as_it_was_asked_for(served, broken, request_for):  # noqa: F811
    (served.folder / "broken.tif").write_bytes(b"II*\0 junk")
    (served.folder / "broken.txt").write_bytes(b"junk")
    (served.folder / "broken.dcm").write_bytes(b"junk")
    (served.folder / "folder.zarr").mkdir()
    (served.folder / "folder.zarr" / "zarr.json").write_bytes(b"junk")
    verb, address = BROKEN[request_for].split(" ")
    asked = address.format(broken=f"userdata/scans/{broken}", image="userdata/scans/a.omni")
    answer = served.client.request(verb, f"/images/v1/{asked}")
    assert answer.status_code == 422, answer.text
    assert f"userdata/scans/{broken.removesuffix('.series')}" in answer.json()["detail"]
    assert str(served.folder.parents[2]) not in answer.text


def test_pixels_that_cannot_be_read_are_of_a_file_that_is_named_as_callers_know_it(served):  # noqa: F811
    tifffile.imwrite(served.folder / "a.tif", np.zeros((300, 300), "u1"), compression="zlib")
    written = (served.folder / "a.tif").read_bytes()
    at = written.index(b"\x78")
    (served.folder / "a.tif").write_bytes(written[:at] + b"\xff\xff" + written[at + 2 :])
    answer = served.client.get("/images/v1/userdata/scans/a.tif")
    assert answer.status_code == 422
    assert "userdata/scans/a.tif: " in answer.json()["detail"]
    chunk = "/images/v1/userdata/scans/a.tif.ome.zarr/0/c/0/0/0"
    while "could not be prepared" not in (answer := served.client.get(chunk)).text:
        assert answer.status_code == 503, answer.text  # the server prepares in the background
    assert "userdata/scans/a.tif: " in answer.json()["detail"]
    assert str(served.folder.parents[2]) not in answer.text


def test_two_images_that_do_not_fit_are_both_named_as_callers_know_them(served, voxels):  # noqa: F811
    write_image(served.folder.parent, "b.omni", voxels, spacing_mm=(1, 1, 1))
    answer = served.client.get("/images/v1/userdata/b.omni?over=userdata/scans/a.omni")
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("userdata/b.omni cannot be laid over userdata/scans/a.omni: along x ")


def test_what_lies_near_an_image_is_named_from_the_store_on(tmp_path):
    path = tmp_path / "files" / "userdata" / "scans" / "a.mhd"
    names = CallersNames.of(parse_resource("userdata/scans/a.mhd"), path)
    assert names.text(f"{path.parents[1] / 'b' / 'a.raw'} is not there") == f"{Path('userdata/b/a.raw')} is not there"
    copy = CallersNames.of(parse_resource("userdata/scans/a.mhd"), tmp_path / "17ab" / "a.mhd")
    assert copy.text(f"{tmp_path / '17ab' / 'a.raw'}: size") == "userdata/scans/a.raw: size"
