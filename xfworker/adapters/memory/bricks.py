"""Pyramids of bricks in memory, for tests and small images."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from attrs import define, field

from xfworker.domain.errors import FileNotInStore

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

Layers = dict[tuple[str, int], list[bytes]]


@define
class MemoryBrickStore:
    """
    The ``BrickStore`` port over dictionaries.

    Attributes:
        limit_bytes: What all pyramids together may take.
    """

    limit_bytes: int
    _pyramids: dict[str, Layers] = field(factory=dict, init=False)

    def pyramid(self, key: str) -> "MemoryPyramid":
        """Give the pyramid of a content; see the port."""
        self._pyramids[key] = self._pyramids.pop(key, {})  # the one that was used last comes last
        return MemoryPyramid(self._pyramids[key])

    def make_room(self, key: str, byte_count: int) -> int:
        """Drop the pyramids that were used longest ago, as far as another needs their room; see the port."""
        if byte_count > self.limit_bytes:
            return self.limit_bytes
        sizes = {name: _byte_count(layers) for name, layers in self._pyramids.items() if name != key}
        own = _byte_count(self._pyramids.get(key, {}))
        for name, size in list(sizes.items()):
            if sum(sizes.values()) + max(own, byte_count) <= self.limit_bytes:
                break
            del self._pyramids[name]
            sizes[name] -= size
        return byte_count


@define
class MemoryPyramid:
    """The ``StoredPyramid`` port over a dictionary."""

    _layers: Layers

    def has_layer(self, volume: str, layer: int) -> bool:
        """Return whether a layer is complete; see the port."""
        return (volume, layer) in self._layers

    def write_layer(self, volume: str, layer: int, count: int, bricks: "Iterator[Pixels]") -> None:
        """Keep a layer; see the port."""
        kept = []
        for brick in bricks:
            data = brick.astype(brick.dtype.newbyteorder("<"), copy=False).tobytes()
            first = data[: brick.dtype.itemsize]
            kept.append(first if data == first * brick.size else data)
        assert len(kept) == count
        self._layers[volume, layer] = kept

    def read_brick(self, volume: str, layer: int, brick: int) -> bytes:
        """Read the bytes of a brick; see the port."""
        try:
            return self._layers[volume, layer][brick]
        except KeyError:
            raise FileNotInStore(f"layer {layer} of {volume} is not there") from None


def _byte_count(layers: Layers) -> int:
    return sum(len(brick) for bricks in layers.values() for brick in bricks)
