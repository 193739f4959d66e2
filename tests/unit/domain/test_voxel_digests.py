"""The digest of an image's pixels, which says whether they are those that were taken from a file."""

import hashlib

import numpy as np
import pytest
import xxhash

from xfworker.domain.image.voxel_digest import VoxelDigest

PIXELS = np.arange(24, dtype="<i2").reshape(2, 3, 4)
BYTES = PIXELS.tobytes()


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS.astype(">i2")])
@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [("xxh3-128", xxhash.xxh3_128(BYTES).hexdigest()), ("sha256", hashlib.sha256(BYTES).hexdigest())],
)
def test_it_is_of_the_little_endian_bytes_slice_by_slice_in_either_way(pixels, algorithm, expected):
    digest = VoxelDigest.expecting({algorithm: expected})
    for piece in pixels:
        assert not digest.is_as_expected()
        digest.update(piece)
    assert digest.is_as_expected()
    assert digest.stated() == {algorithm: expected}


def test_the_quick_one_is_the_one_that_is_taken():
    quick = xxhash.xxh3_128(BYTES).hexdigest()
    both = VoxelDigest.expecting({"xxh3-128": quick, "sha256": hashlib.sha256(BYTES).hexdigest()})
    for digest in (both, VoxelDigest()):
        digest.update(PIXELS)
        assert digest.stated() == {"xxh3-128": quick}
    assert both.is_as_expected()
    assert not VoxelDigest().is_as_expected()


@pytest.mark.parametrize("stated", [None, {}, "sha256", {"sha256": ""}, {"sha256": 3}, {"md5": "0"}])
def test_a_document_that_states_none_expects_none(stated):
    assert VoxelDigest.expecting(stated) is None


def test_one_that_cannot_be_read_does_not_hide_the_other():
    assert VoxelDigest.expecting({"xxh3-128": 3, "sha256": hashlib.sha256().hexdigest()}).is_as_expected()
