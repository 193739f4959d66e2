"""The one suite for stores of bricks."""

import pytest

from xfworker.adapters.bricks.folder import BrickFolder
from xfworker.adapters.memory.bricks import MemoryBrickStore
from xfworker.testing.contracts.brick_store import LIMIT_BYTES, BrickStoreContract


class TestBrickFolder(BrickStoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return BrickFolder(tmp_path / "bricks", limit_bytes=LIMIT_BYTES)


class TestMemoryBrickStore(BrickStoreContract):
    @pytest.fixture
    def store(self):
        return MemoryBrickStore(LIMIT_BYTES)
