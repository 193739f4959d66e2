import fsspec
import pytest
from lab_smb import FsspecFiles

from xfworker.testing.contracts.file_store import FileStoreContract


class TestFsspecFiles(FileStoreContract):
    @pytest.fixture
    def store(self, tmp_path_factory):
        return FsspecFiles(fsspec.filesystem("local"), str(tmp_path_factory.mktemp("share")))
