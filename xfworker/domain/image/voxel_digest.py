"""What proves that pixels are those that were taken from a file: a digest of them, little-endian, slice by slice."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, Protocol

QUICK: Final = "xxh3-128"
"""Quick to compute: it finds every change by accident; nothing here has to withstand one by intent."""

FORMER: Final = "sha256"
"""What documents of older versions state; it is compared, and not written any more."""


class _Hash(Protocol):
    def update(self, data: Any, /) -> None: ...
    def hexdigest(self) -> str: ...


class VoxelDigest:
    """
    The digest of an image's pixels, as ``source.voxels`` of an OMNI document states it.

    Args:
        algorithm: ``xxh3-128`` or ``sha256``.
        expected: What it is to be, 32 or 64 hexadecimal digits; None where nothing is expected.
    """

    def __init__(self, algorithm: str = QUICK, expected: str | None = None) -> None:
        self._algorithm, self._expected = algorithm, expected
        self._hash: _Hash = hashlib.sha256() if algorithm == FORMER else _quick_hash()

    @classmethod
    def expecting(cls, voxels: Any) -> "VoxelDigest | None":
        """Begin the digest that a document states under ``source.voxels``; None where it states none."""
        stated = voxels if isinstance(voxels, Mapping) else {}
        for algorithm in (QUICK, FORMER):
            expected = stated.get(algorithm)
            if isinstance(expected, str) and expected:
                return cls(algorithm, expected)
        return None

    def update(self, pixels: Any) -> None:
        """Go on with the next pixels, a contiguous array."""
        little = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
        self._hash.update(little.ravel().view("u1").data)

    def is_as_expected(self) -> bool:
        """Return whether the pixels so far are all that was expected."""
        return self._hash.hexdigest() == self._expected

    def stated(self) -> dict[str, str]:
        """Give the digest as ``source.voxels`` states it."""
        return {self._algorithm: self._hash.hexdigest()}


def _quick_hash() -> _Hash:
    import xxhash

    return xxhash.xxh3_128()
