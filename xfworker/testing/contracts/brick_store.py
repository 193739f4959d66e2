"""What every store of bricks must do, as tests to inherit."""

from collections.abc import Iterator

import numpy as np
import pytest

from xfworker.domain.errors import FileNotInStore
from xfworker.ports.brick_store import BrickStore
from xfworker.ports.image_codec import Pixels

LIMIT_BYTES = 1 << 16
"""The limit of the store that the suite is given."""


class BrickStoreContract:
    """
    Inherit it, give the fixture, and pytest runs every test against your store.

    Fixture to give:
        ``store``: an empty :class:`~xfworker.ports.brick_store.BrickStore` with a limit of :data:`LIMIT_BYTES`.
    """

    @pytest.fixture
    def store(self) -> BrickStore:
        raise NotImplementedError("give a store")

    def test_a_layer_that_was_not_written_is_not_there(self, store: BrickStore) -> None:
        pyramid = store.pyramid("a")
        assert not pyramid.has_layer("0", 0)
        with pytest.raises(FileNotInStore):
            pyramid.read_brick("0", 0, 0)

    def test_bricks_come_back_little_endian_and_those_of_one_value_as_one_voxel(self, store: BrickStore) -> None:
        bricks = [
            np.arange(24, dtype=">i2").reshape(2, 3, 4),
            np.full((2, 3, 4), -7, ">i2"),
            np.arange(24, dtype=">i2").reshape(2, 3, 4).transpose(2, 1, 0),
        ]
        store.pyramid("a").write_layer("0", 5, 3, iter(bricks))
        pyramid = store.pyramid("a")
        assert pyramid.has_layer("0", 5)
        assert np.frombuffer(pyramid.read_brick("0", 5, 0), "<i2").tolist() == bricks[0].reshape(-1).tolist()
        assert np.frombuffer(pyramid.read_brick("0", 5, 1), "<i2").tolist() == [-7]
        assert np.frombuffer(pyramid.read_brick("0", 5, 2), "<i2").tolist() == bricks[2].reshape(-1).tolist()

    def test_values_are_compared_as_they_are_stored(self, store: BrickStore) -> None:
        nothing, zeros = np.full(4, np.nan, "f4"), np.array([0.0, -0.0, 0.0, 0.0], "f4")
        store.pyramid("a").write_layer("0", 0, 2, iter([nothing, zeros]))
        assert len(store.pyramid("a").read_brick("0", 0, 0)) == 4
        assert np.signbit(np.frombuffer(store.pyramid("a").read_brick("0", 0, 1), "<f4")).tolist()[1]

    def test_a_layer_that_is_not_completed_is_not_there(self, store: BrickStore) -> None:
        def broken() -> Iterator[Pixels]:
            yield np.arange(8, dtype="u1")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            store.pyramid("a").write_layer("0", 0, 2, broken())
        assert not store.pyramid("a").has_layer("0", 0)

    def test_writing_a_layer_again_replaces_it(self, store: BrickStore) -> None:
        for value in (1, 2):
            store.pyramid("a").write_layer("0", 0, 1, iter([np.full(9, value, "u1")]))
        assert store.pyramid("a").read_brick("0", 0, 0) == b"\2"

    def test_keys_volumes_and_layers_are_apart(self, store: BrickStore) -> None:
        store.pyramid("a").write_layer("0", 0, 1, iter([np.full(9, 1, "u1")]))
        assert not store.pyramid("b").has_layer("0", 0)
        assert not store.pyramid("a").has_layer("1", 0)
        assert not store.pyramid("a").has_layer("0", 1)

    def test_what_is_beyond_the_limit_gets_less_and_nothing_is_dropped(self, store: BrickStore) -> None:
        store.pyramid("a").write_layer("0", 0, 1, iter([np.arange(1000, dtype="u2")]))
        assert store.make_room("b", LIMIT_BYTES + 1) <= LIMIT_BYTES
        assert store.pyramid("a").has_layer("0", 0)

    def test_room_is_made_by_dropping_others_never_its_own(self, store: BrickStore) -> None:
        for key in ("a", "b"):
            store.pyramid(key).write_layer("0", 0, 1, iter([np.arange(10000, dtype="u2")]))
        assert store.make_room("b", 1000) == 1000
        assert store.pyramid("a").has_layer("0", 0), "there is room beside it"
        assert store.make_room("b", LIMIT_BYTES) == LIMIT_BYTES
        assert not store.pyramid("a").has_layer("0", 0)
        assert store.pyramid("b").has_layer("0", 0)
