"""
Floating point numbers of the VAX, as old AIM and ISQ headers hold them.

VAX F (32 bit): swap the two 16-bit halves, read as IEEE, times 1/4. VAX G (64 bit): reverse the order of the four
16-bit words, read as IEEE, times 1/4. Neither has infinities or NaN; a set sign bit with a zero exponent is a reserved
operand.
"""

import math
import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

F_MAX: Final = 1.7014117331926443e38
"""The largest magnitude of VAX F, (1 - 2**-24) * 2**127."""


def f_to_float(data: bytes) -> float:
    """Read one VAX F number from four bytes; a reserved operand is NaN."""
    low, high = struct.unpack("<HH", data)
    sign, exponent, fraction = low >> 15, low >> 7 & 0xFF, (low & 0x7F) << 16 | high
    if exponent == 0:
        return float("nan") if sign else 0.0
    value: float = (0x800000 | fraction) * 2.0 ** (exponent - 128 - 24)
    return -value if sign else value


def f_from_float(value: float) -> bytes:
    """
    Write one number as VAX F, rounded to the nearest that fits its 24 bits.

    Raises:
        OverflowError: The number is too large for VAX F, or is not a number.
    """
    if not abs(value) <= F_MAX:
        raise OverflowError(f"{value!r} does not fit a VAX F number (at most {F_MAX:.3e}).")
    mantissa, exponent = math.frexp(abs(value))
    fraction = round(mantissa * 2**24)
    if fraction == 2**24:
        fraction, exponent = 2**23, exponent + 1
    if fraction == 0 or exponent + 128 <= 0:
        return bytes(4)
    word = (value < 0) << 31 | (exponent + 128) << 23 | (fraction & 0x7FFFFF)
    return struct.pack("<HH", word >> 16, word & 0xFFFF)


def g_to_float(data: bytes) -> float:
    """Read one VAX G number from eight bytes; a reserved operand is NaN."""
    words = struct.unpack("<4H", data)
    if not words[0] & 0x7FF0:
        return float("nan") if words[0] & 0x8000 else 0.0
    (value,) = struct.unpack(">d", struct.pack(">4H", *words))
    # The exponent of all ones is an ordinary number in VAX G, but would be read as infinity: take two off first.
    if words[0] & 0x7FF0 == 0x7FF0:  # noqa: PLR2004 - the exponent's bits
        (value,) = struct.unpack(">d", struct.pack(">4H", words[0] - 0x20, *words[1:]))
        return float(value)
    return float(value) * 0.25


def g_from_float(value: float) -> bytes:
    """
    Write one number as VAX G.

    Raises:
        OverflowError: The number is too large for VAX G, or is not a number.
    """
    scaled = value * 4
    if not abs(scaled) < float("inf"):
        raise OverflowError(f"{value!r} does not fit a VAX G number.")
    words = struct.unpack(">4H", struct.pack(">d", scaled))
    if not words[0] & 0x7FF0:
        return bytes(8)
    return struct.pack("<4H", *words)


def f_array_to_float32(words: "npt.NDArray[Any]") -> "npt.NDArray[np.float32]":
    """
    Turn an array of VAX F numbers into IEEE float32.

    Args:
        words: uint32, little endian as they stand in the file.

    Returns:
        float32 of the same shape. Zero and the reserved operand give +0.0 and NaN; what underflows IEEE's normal
        numbers comes out as the exact subnormal where there is one.
    """
    import numpy as np

    swapped = (words << np.uint32(16)) | (words >> np.uint32(16))
    exponent = swapped & np.uint32(0x7F800000)
    reserved = (exponent == 0) & (swapped >> np.uint32(31) == 1)
    clean = np.where(exponent == 0, np.uint32(0), swapped)
    top = exponent >= np.uint32(0x7F000000)
    # Numbers with the two highest exponents would be read as huge or infinite: quarter them in the exponent's bits.
    lowered = np.where(top, clean - np.uint32(0x01000000), clean)
    values: npt.NDArray[np.float32] = lowered.view(np.float32)
    values = np.where(top, values, values * np.float32(0.25))
    values[reserved] = np.nan
    return values


def f_array_from_float32(values: "npt.NDArray[np.float32]") -> "npt.NDArray[np.uint32]":
    """
    Turn float32 into VAX F numbers, as uint32 in the file's order.

    Raises:
        OverflowError: A value is infinite, not a number, or above the largest VAX F number.
    """
    import numpy as np

    flat = np.ascontiguousarray(values, dtype=np.float32)
    if flat.size and not bool(np.all(np.abs(flat) <= np.float32(F_MAX))):
        raise OverflowError(f"A value is infinite, not a number, or beyond the largest VAX F number ({F_MAX:.3e}).")
    exponent = flat.view(np.uint32) >> np.uint32(23) & np.uint32(0xFF)
    tiny = exponent == 0
    # Subnormals: as VAX F numbers they are normal where they are not below its smallest exponent.
    with np.errstate(over="ignore"):
        raised = np.where(tiny, flat * np.float32(4), flat).view(np.uint32)
    raised_exponent = raised >> np.uint32(23) & np.uint32(0xFF)
    bits = np.where(tiny, raised, raised + np.uint32(0x01000000))
    bits = np.where(tiny & (raised_exponent == 0), np.uint32(0), bits)
    return (bits << np.uint32(16)) | (bits >> np.uint32(16))
