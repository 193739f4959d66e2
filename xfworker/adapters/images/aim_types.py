"""The data types of AIM voxels: ``code = kind << 16 | element size``, and what can be done with each."""

from typing import Final, Literal

import attrs

from xfworker.domain.image.pixel_type import PixelType

Storage = Literal["raw", "vax", "bit8", "charCmp", "binCmp"]


@attrs.frozen
class AimType:
    """
    One data type of voxels.

    Attributes:
        name: This package's word for the encoding.
        scanco_name: The name in SCANCO's sources.
        code: The number in the header.
        pixel_type: The type that reading gives.
        storage: How the voxels stand in the file.
        needs_v030: Whether IPL expects version 030 for it.
    """

    name: str
    scanco_name: str
    code: int
    pixel_type: PixelType
    storage: Storage = "raw"
    needs_v030: bool = False


TYPES: Final = (
    AimType("int8", "D1Tchar", 0x00010001, PixelType.INT8),
    AimType("int16", "D1Tshort", 0x00020002, PixelType.INT16),
    AimType("int32", "D1Tint32", 0x00030004, PixelType.INT32),
    AimType("int64", "D1Tint", 0x00030008, PixelType.INT64),
    AimType("uint8", "D1Tuchar", 0x00160001, PixelType.UINT8),
    AimType("uint16", "D1Tushort", 0x00170002, PixelType.UINT16),
    AimType("float32", "D1Ti3efloat", 0x001A0004, PixelType.FLOAT32, needs_v030=True),
    AimType("vaxF", "D1Tfloat", 0x00040004, PixelType.FLOAT32, "vax"),
    AimType("bit8", "D3Tbit8", 0x00060001, PixelType.INT8, "bit8"),
    AimType("charCmp", "D1TcharCmp", 0x00080002, PixelType.INT8, "charCmp"),
    AimType("binCmp", "D1TbinCmp", 0x00150001, PixelType.INT8, "binCmp"),
)

BY_CODE: Final = {kind.code: kind for kind in TYPES}
BY_NAME: Final = {kind.name: kind for kind in TYPES}

NOT_READ: Final = {
    0x00060003: "D3Tchar",
    0x00080003: "D1TcharCmp2",
    0x000D0001: "D1Tpixel",
    0x00120003: "D1Trgb",
    0x00140008: "D1Tdouble",
    0x00640001: "D1TZBencoded",
}
"""Rare types whose layout is not known well enough to read them faithfully."""

DEFAULT_ENCODINGS: Final = {
    PixelType.INT8: "int8",
    PixelType.UINT8: "uint8",
    PixelType.INT16: "int16",
    PixelType.UINT16: "uint16",
    PixelType.INT32: "int32",
    PixelType.INT64: "int64",
    PixelType.FLOAT32: "float32",
}
"""The encoding that a pixel type is written as unless another one is asked for."""
