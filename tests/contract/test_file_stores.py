"""The one suite for file stores, against each of them."""

import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.layered.file_store import LayeredFileStore
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.adapters.plain.file_store import Found, PlainFileStore
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.errors import FileError, FileNotInStore
from xfworker.domain.files import VERBS, AuthorizationToken, Scope, parse_resource
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


class KeptInMemory(PlainFileStore):
    """The five operations over a dictionary from paths to contents."""

    def __init__(self):
        super().__init__()
        self.contents = {}
        self.marks = {}
        self.lock = threading.Lock()

    def look(self, path):
        with self.lock:
            if path in self.contents:
                return Found(len(self.contents[path]), self.marks[path])
            is_folder = any(name.startswith(f"{path}/") for name in self.contents)
        return Found(0, is_folder=True) if is_folder else None

    def entries(self, path):
        with self.lock:
            names = {name[len(path) + 1 :].split("/")[0] for name in self.contents if name.startswith(f"{path}/")}
        return [(name, self.look(f"{path}/{name}")) for name in names]

    def read(self, path, offset):
        with self.lock:
            if path not in self.contents:
                raise FileNotFoundError(path)
            content = self.contents[path]
        for start in range(offset, len(content), 1 << 20):
            yield content[start : start + (1 << 20)]

    def write(self, path, blocks):
        content = b"".join(blocks)
        with self.lock:
            parts = path.split("/")
            if any("/".join(parts[:depth]) in self.contents for depth in range(1, len(parts))):
                raise NotADirectoryError(path)
            self.contents[path] = content
            # Another one with each write: the same content written again would hide what was there in between.
            self.marks[path] = uuid4().hex

    def remove(self, path):
        with self.lock:
            if self.contents.pop(path, None) is None:
                raise FileNotFoundError(path)


class TestPlainFileStore(FileStoreContract):
    @pytest.fixture
    def store(self):
        return KeptInMemory()


class TestLayeredFileStore(FileStoreContract):
    @pytest.fixture
    def store(self, tmp_path_factory):
        return LayeredFileStore(FolderFileStore(tmp_path_factory.mktemp("store")), [MemoryFileStore()])


def test_a_layered_store_reads_its_archive_and_never_changes_it(tmp_path):
    archive, daily = MemoryFileStore(), MemoryFileStore()
    store = LayeredFileStore(daily, [archive])
    folder = parse_resource("userdata/scans")
    token = AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, folder) for verb in VERBS))
    archive.put(folder.child("old.raw"), b"old")
    archive.put(folder.child("both.raw"), b"archived")
    (tmp_path / "new").write_bytes(b"daily")
    store.upload(token, tmp_path / "new", folder.child("both.raw"))
    assert [stat.resource.filename for stat in store.list(token, folder).files] == ["both.raw", "old.raw"]
    assert b"".join(store.open_read(token, folder.child("both.raw"))) == b"daily"
    store.download(token, folder.child("old.raw"), tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"old"
    with pytest.raises(FileError, match="archive"):
        store.delete(token, folder.child("old.raw"))
    store.delete(token, folder.child("both.raw"))
    assert b"".join(store.open_read(token, folder.child("both.raw"))) == b"archived"
    with pytest.raises(FileNotInStore):
        store.delete(token, folder.child("nowhere.raw"))
