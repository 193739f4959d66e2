"""The one suite for file stores, against each of them."""

from collections.abc import Iterator

import pytest

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.transfer_limits import TransferLimits
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.api.embedded_server import EmbeddedServer
from xfworker.testing.contracts.file_store import FileStoreContract


class TestMemoryFileStore(FileStoreContract):
    @pytest.fixture
    def store(self):
        return MemoryFileStore()


class TestFolderFileStore(FileStoreContract):
    @pytest.fixture
    def store(self, tmp_path_factory):
        return FolderFileStore(tmp_path_factory.mktemp("store"))


class TestFolderFileStoreThatSyncs(FileStoreContract):
    @pytest.fixture
    def store(self, tmp_path_factory):
        return FolderFileStore(tmp_path_factory.mktemp("store"), fsync=True)


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[HttpXFServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("served")) as embedded:
        transport = HttpTransport(embedded.url, token=embedded.admin_token)
        yield HttpXFServer(transport)
        transport.close()


class TestHttpFileStore(FileStoreContract):
    @pytest.fixture
    def store(self):
        store = HttpFileStore(transfers=TransferLimits(request_bytes=4 << 20))
        yield store
        store.close()

    @pytest.fixture
    def token_for(self, served):
        return served.file_token

    @pytest.fixture
    def folder(self, request):
        from xfworker.domain.files import userdata_resource

        return userdata_resource(request.node.name)
