"""What other programs read of an image by its link: zarr, over HTTP, from a server of its own."""

import json
import time
import urllib.error
import urllib.request

import numpy as np
import ome_zarr_models.v05
import pytest
import zarr

from xfworker.adapters.images.registry import image_formats
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType


@pytest.fixture(scope="module")
def voxels():
    return np.random.default_rng(1).integers(-3000, 3000, (130, 90, 300)).astype(np.int16)


@pytest.fixture(scope="module")
def server(tmp_path_factory, voxels):
    data = tmp_path_factory.mktemp("server")
    folder = data / "files" / "userdata"
    folder.mkdir(parents=True)
    path = folder / "a.omni"
    info = ImageInfo(
        path=path,
        format="OMNI",
        size=voxels.shape[::-1],
        pixel_type=PixelType.INT16,
        pixels_path=path,
        spacing_mm=(0.03, 0.03, 0.06),
    )
    with image_formats().writer(path, info) as writer:
        writer.write(voxels)
    with EmbeddedServer(data) as running:
        yield running


def asked(server, path, *, data=None):
    request = urllib.request.Request(
        server.url + path,
        data=None if data is None else json.dumps(data).encode(),
        headers={"Authorization": f"Bearer {server.admin_token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def link(server):
    scopes = [["read", "userdata/a.omni"], ["read", "userdata/a.raw"]]
    token = asked(server, "/xf/v1/fss-tokens", data={"scopes": scopes})["token"]
    while asked(server, "/images/v1/userdata/a.omni")["pyramid"]["state"] != "complete":
        time.sleep(0.01)  # the server builds in the background; it offers nothing to wait for
    return f"{server.url}/images/v1/link/{token}/userdata/a.omni.ome.zarr"


def test_zarr_reads_identical_voxels_of_every_level_over_http(link, voxels):
    group = zarr.open_group(link, mode="r")
    np.testing.assert_array_equal(group["0"][...], voxels)
    means = voxels.reshape(65, 2, 45, 2, 150, 2).mean(axis=(1, 3, 5))
    np.testing.assert_array_equal(group["1"][...], np.rint(means).astype(np.int16))


def test_the_documents_are_those_of_ome_zarr_0_5(link):
    group = zarr.open_group(link, mode="r")
    image = ome_zarr_models.v05.Image.from_zarr(group)
    assert image.ome_attributes.version == "0.5"
    (scales,) = image.ome_attributes.multiscales
    assert [axis.unit for axis in scales.axes] == ["millimeter"] * 3
    assert scales.datasets[1].coordinateTransformations[0].scale == pytest.approx([0.12, 0.06, 0.06])


def test_a_link_is_good_for_its_files_only_and_its_token_is_not_logged(server, link):
    with urllib.request.urlopen(link + "/zarr.json", timeout=30) as granted:
        assert granted.status == 200
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(link.replace("/a.omni", "/b.omni") + "/zarr.json", timeout=30)
    assert refused.value.code == 403
    refused.value.close()
    token = link.split("/")[6]
    log = (server.data / "server.log").read_text("utf-8")
    assert "/images/v1/link/.../userdata/a.omni.ome.zarr/zarr.json" in log
    assert token not in log
