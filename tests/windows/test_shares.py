r"""Files in place on a share: by its UNC name, by a mapped drive, and by what the settings' path map says of it."""

import os
import sys
from pathlib import Path

import pytest

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.composition.local_filesystem import local_filesystem
from xfworker.api.settings.file import load_settings
from xfworker.domain.files import VERBS, Scope, userdata_resource
from xfworker.services.transfers.transfers import Transfers

pytestmark = pytest.mark.skipif(
    sys.platform != "win32" or "XFWORKER_TEST_SHARE" not in os.environ,
    reason="wants two names of one folder, of a share and of a drive, in XFWORKER_TEST_SHARE",
)
SHARE, _, DRIVE = os.environ.get("XFWORKER_TEST_SHARE", ";").partition(";")
PLACE = userdata_resource("mice/scan.raw")
CONTENT = bytes(range(256)) * 1000


@pytest.fixture(params=[SHARE, DRIVE], ids=["share", "drive"])
def own_name(request, tmp_path):
    """What this computer calls the folder of the store; it is another one for each test."""
    return Path(request.param, tmp_path.name)


@pytest.fixture
def server_name(tmp_path):
    return rf"\\FileServer\Scans\{tmp_path.name}"


@pytest.fixture
def store(own_name, server_name):
    """A server's store; the client sees it by another's words."""
    made = FolderFileStore(own_name, direct_access_root=server_name, direct_writes=True)
    token = made_token()
    source = own_name / "source"
    source.write_bytes(CONTENT)
    made.upload(token, source, PLACE)
    return made


def made_token():
    from xfworker.domain.files import AuthorizationToken

    return AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, userdata_resource("mice")) for verb in VERBS))


@pytest.fixture
def filesystem(own_name, server_name, tmp_path, monkeypatch):
    settings = tmp_path / "xfworker.toml"
    settings.write_text(f"[disk.path_map]\n'{server_name.lower()}' = '{own_name}'\n", "utf-8")
    monkeypatch.setenv("XFWORKER_CONFIG", str(settings))
    return local_filesystem(load_settings().settings, os.environ)


def test_a_file_is_used_where_it_lies(store, filesystem, own_name, tmp_path):
    path = Transfers(store, filesystem, SystemClock()).fetch(made_token(), PLACE, tmp_path)
    assert path == own_name / "userdata" / "mice" / "scan.raw"
    assert path.read_bytes() == CONTENT


def test_an_output_is_written_there_and_only_registered(store, filesystem, own_name, tmp_path):
    transfers = Transfers(store, filesystem, SystemClock())
    output = userdata_resource("mice/mask.raw")
    path = transfers.writable_path(made_token(), output, tmp_path / "mask.raw")
    path.write_bytes(b"mask")
    transfers.store(made_token(), path, output)
    assert path.is_relative_to(own_name)
    assert b"".join(store.open_read(made_token(), output)) == b"mask"


def test_without_a_path_map_the_file_is_fetched(store, tmp_path):
    path = Transfers(store, LocalFilesystem(), SystemClock()).fetch(made_token(), PLACE, tmp_path)
    assert path.parent == tmp_path
    assert path.read_bytes() == CONTENT


def test_only_a_share_is_a_network_path():
    filesystem = LocalFilesystem()
    assert filesystem.is_network_path(Path(SHARE, "a.raw"))
    assert not filesystem.is_network_path(Path(DRIVE, "a.raw"))


@pytest.mark.skipif("XFWORKER_TEST_SERVERS" not in os.environ, reason="its server runs on Linux")
def test_the_files_of_a_linux_server_are_used_where_they_lie(tmp_path):
    data = tmp_path / "data"
    root = "\\\\LinuxServer\\export"
    filesystem = LocalFilesystem(path_map={root: data / "files"})
    with EmbeddedServer(data, words=("--direct-access-root", root)) as embedded:
        transport, files = HttpTransport(embedded.url, token=embedded.admin_token), HttpFileStore()
        token = HttpXFServer(transport).file_token([Scope(verb, PLACE) for verb in ("read", "write")])
        source = tmp_path / "scan.raw"
        source.write_bytes(CONTENT)
        files.upload(token, source, PLACE)
        path = Transfers(files, filesystem, SystemClock()).fetch(token, PLACE, tmp_path)
        assert path == data / "files" / "userdata" / "mice" / "scan.raw"
        assert path.read_bytes() == CONTENT
        files.close()
        transport.close()
