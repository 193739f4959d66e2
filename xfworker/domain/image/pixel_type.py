"""The number types that a pixel can have."""

import enum
from typing import Literal, Self

ByteOrder = Literal["little", "big"]


class PixelType(enum.Enum):
    """
    A number type of pixels; the value is its name in an OMNI document and in numpy.

    Attributes:
        code: numpy's kind and width, such as ``i2``, without a byte order.
    """

    code: str

    INT8 = ("int8", "i1")
    UINT8 = ("uint8", "u1")
    INT16 = ("int16", "i2")
    UINT16 = ("uint16", "u2")
    INT32 = ("int32", "i4")
    UINT32 = ("uint32", "u4")
    INT64 = ("int64", "i8")
    UINT64 = ("uint64", "u8")
    FLOAT32 = ("float32", "f4")
    FLOAT64 = ("float64", "f8")

    def __new__(cls, name: str, code: str = "") -> Self:
        member = object.__new__(cls)
        member._value_ = name
        member.code = code
        return member

    @property
    def size(self) -> int:
        """Bytes per pixel."""
        return int(self.code[1])

    @property
    def is_float(self) -> bool:
        """Whether the type holds fractions."""
        return self.code[0] == "f"

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The smallest and largest integer that fits, or None for the float types."""
        if self.is_float:
            return None
        bits = 8 * self.size
        return (0, 2**bits - 1) if self.code[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def numpy_code(self, byte_order: ByteOrder = "little") -> str:
        """Give the type in numpy's notation with a byte order, such as ``<i2``."""
        return ("<" if byte_order == "little" else ">") + self.code

    @classmethod
    def of_numpy_code(cls, code: str) -> "PixelType | None":
        """Give the type of a numpy code such as ``<i2`` or ``u1``, or None where there is none."""
        bare = code.lstrip("<>|=")
        return next((member for member in cls if member.code == bare), None)
