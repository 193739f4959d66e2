"""A served file store, a link in front of it that can break, and files to send over it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, evolve

from tests.integration.transfers.faulty_link import FaultyLink, faulty_link
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.files import VERBS, AuthorizationToken, Resource, Scope, userdata_resource

MIB = 1 << 20


@define
class Served:
    """A server with a store for tests."""

    url: str
    server: HttpXFServer
    data: Path

    def token(self, *scopes: Scope) -> AuthorizationToken:
        return self.server.file_token(scopes or [Scope(verb, Resource(("userdata",))) for verb in VERBS])


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("served")
    with EmbeddedServer(data) as embedded:
        transport = HttpTransport(embedded.url, token=embedded.admin_token)
        yield Served(embedded.url, HttpXFServer(transport), data)
        transport.close()


@pytest.fixture
def link(served) -> Iterator[FaultyLink]:
    with faulty_link(served.url) as found:
        yield found


@pytest.fixture
def token(served, link) -> AuthorizationToken:
    """A token that leads over the link."""
    return evolve(served.token(), url=f"{link.url}/fss/v1")


@pytest.fixture
def folder(request) -> Resource:
    return userdata_resource(re.sub(r"[^a-z0-9_]+", "-", request.node.name) + "-")


LIMITS = HttpLimits(
    connect_seconds=2.0, read_seconds=5.0, write_seconds=5.0, attempts=2, backoff_seconds=0.01, patience_seconds=3.0
)
TRANSFERS = TransferLimits(
    single_put_bytes=256 * 1024, request_bytes=4 * MIB, journal_bytes=MIB, attempts=5, connections_per_file=1
)


@pytest.fixture
def store() -> Iterator[HttpFileStore]:
    found = HttpFileStore(limits=LIMITS, transfers=TRANSFERS)
    yield found
    found.close()


@pytest.fixture
def content() -> bytes:
    return os.urandom(24 * MIB + 12345)


@pytest.fixture
def source(tmp_path, content) -> Path:
    path = tmp_path / "source.raw"
    path.write_bytes(content)
    return path
