"""The one suite for catalogues of measurements: a folder, and a server that gives it over HTTP."""

import pytest

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.http.sns_server import HttpSnsServer
from xfworker.adapters.http.transport import HttpTransport
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.composition.measurements import folder_catalogue
from xfworker.testing.contracts.sns_server import MEASUREMENTS, SnsServerContract


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measurements")
    for name, content in MEASUREMENTS.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def served(folder, tmp_path_factory):
    with EmbeddedServer(tmp_path_factory.mktemp("data"), database="memory:", sns=folder) as embedded:
        server = HttpSnsServer(HttpTransport(embedded.url, token=embedded.admin_token), SystemClock())
        yield server
        server.close()


class TestFolderSnsCatalogue(SnsServerContract):
    @pytest.fixture
    def server(self, folder):
        return folder_catalogue(folder)


class TestHttpSnsServer(SnsServerContract):
    @pytest.fixture
    def server(self, served):
        return served
