"""The suites for image codecs, against every format."""

import struct

import numpy as np
import pytest
import tifffile
from pydicom.uid import generate_uid

from tests.contract.suites.dicom_slice import dicom_slice
from xfworker.adapters.images.registry import image_formats
from xfworker.testing.contracts.image_codec import ImageCodecContract, WrittenImageCodecContract


class OfOneFormat:
    """Gives the codec that the registry has by the class's name for it."""

    @pytest.fixture
    def codec(self):
        return image_formats().codec_named(self.name)


class TestAim(OfOneFormat, WrittenImageCodecContract):
    name = "AIM"


class TestIsq(OfOneFormat, WrittenImageCodecContract):
    name = "ISQ"


class TestGobj(OfOneFormat, WrittenImageCodecContract):
    name = "GOBJ"
    code = "i1"


class TestOmni(OfOneFormat, WrittenImageCodecContract):
    name = "OMNI"


class TestNifti(OfOneFormat, WrittenImageCodecContract):
    name = "NIfTI"


class TestNrrd(OfOneFormat, WrittenImageCodecContract):
    name = "NRRD"


class TestTiff(OfOneFormat, WrittenImageCodecContract):
    name = "TIFF"


class TestZarr(OfOneFormat, WrittenImageCodecContract):
    name = "zarr"
    is_folder = True


class TestOmeZarr(OfOneFormat, WrittenImageCodecContract):
    name = "OME-Zarr"
    is_folder = True


class TestMetaImage(OfOneFormat, WrittenImageCodecContract):
    name = "MetaImage"


class TestVolumeGraphics(OfOneFormat, WrittenImageCodecContract):
    name = "VGI"


class Projections(OfOneFormat, ImageCodecContract):
    """Raw counts behind a CTDATA header."""

    data_type: int
    code: str

    @pytest.fixture
    def image(self, tmp_path):
        array = (np.arange(2 * 3 * 4) * 1000).reshape(2, 3, 4).astype(self.code)
        header = bytearray(512)
        header[:16] = b"CTDATA-HEADER_V1"
        struct.pack_into("<2i", header, 16, self.data_type, 512 + array.nbytes)
        struct.pack_into("<6i", header, 44, 4, 3, 2, 40, 30, 20)
        struct.pack_into("<i", header, 88, 4096)
        path = tmp_path / "projections"
        path.write_bytes(bytes(header) + array.tobytes())
        return path, array


class TestRsq(Projections):
    name = "RSQ"
    data_type = 1
    code = "<u2"


class TestRad(Projections):
    name = "RAD"
    data_type = 9
    code = "<i2"


class TestTiffFolder(OfOneFormat, ImageCodecContract):
    name = "TIFF folder"

    @pytest.fixture
    def image(self, tmp_path):
        array = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)
        folder = tmp_path / "slices"
        folder.mkdir()
        for index, pixels in enumerate(array):
            tifffile.imwrite(folder / f"slice{index:03}.tif", pixels)
        return folder, array


class TestDicom(OfOneFormat, ImageCodecContract):
    name = "DICOM"

    @pytest.fixture
    def image(self, tmp_path):
        array = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5) - 7
        folder = tmp_path / "series"
        folder.mkdir()
        series = generate_uid()
        for index, pixels in enumerate(array):
            dicom_slice(folder / f"{9 - index}.dcm", pixels, index * 0.5 - 3, series)
        return folder, array


def test_every_format_stands_here():
    classes = [*OfOneFormat.__subclasses__(), *Projections.__subclasses__()]
    assert {kind.name for kind in classes if kind is not Projections} == {
        codec.name for codec in image_formats().codecs
    }
