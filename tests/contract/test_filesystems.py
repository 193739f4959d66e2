"""The one suite for local filesystems."""

import pytest

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.testing.contracts.filesystem import FilesystemContract


class TestLocalFilesystem(FilesystemContract):
    @pytest.fixture
    def filesystem(self, tmp_path_factory):
        return LocalFilesystem(tmp_path_factory.mktemp("temporary"))
