"""File tokens that end before their transfers do: a new one is asked for, and the transfer goes on."""

import pytest
from attrs import evolve

from tests.integration.transfers.conftest import LIMITS, MIB, TRANSFERS
from xfworker.adapters.http.file_bearer import FileBearer
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import BASE, HttpXFServer
from xfworker.adapters.wire.authorization import authorization
from xfworker.domain.errors import AuthenticationFailed
from xfworker.domain.files import VERBS, AuthorizationToken, Resource, Scope

CONTENT = bytes(range(256)) * 4096 * 12


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "big.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def ending(served):
    """A file token that can be ended by the test, and is renewed by a sound one."""
    admin = served.server._transport  # noqa: SLF001  accounts have no port

    def ask(method, path, body=None):
        answer = admin.request(method, f"{BASE}/{path}", doing="set up", json_body=body)
        return answer.json() if answer.body else None

    names = {item["name"]: item["serial"] for item in ask("GET", "accounts")["items"]}
    serial = names.get("anna") or ask("POST", "accounts", {"name": "anna", "password": "anna-rides-at-dusk"})["serial"]
    made = ask("POST", f"accounts/{serial}/tokens", {"name": "short"})
    server = HttpXFServer(HttpTransport(served.url, token=made["token"]))
    token = server.file_token([Scope(verb, Resource(("userdata",))) for verb in VERBS])
    renewals = []

    def renew():
        renewals.append(1)
        return served.token()

    yield evolve(token, renew=renew), lambda: ask("DELETE", f"tokens/{made['serial']}"), renewals
    server.close()


def test_an_upload_goes_on_under_a_new_token(ending, source, folder):
    token, end, renewals = ending
    store = HttpFileStore(limits=LIMITS, transfers=evolve(TRANSFERS, request_bytes=2 * MIB))
    ended = []

    def progress(done, _all):
        if done > 4 * MIB and not ended:
            ended.append(done)
            end()

    stat = store.upload(token, source, folder.child("big.bin"), progress=progress)
    assert (stat.size, len(renewals)) == (len(CONTENT), 1)
    assert b"".join(store.open_read(token, folder.child("big.bin"))) == CONTENT
    assert len(renewals) == 1
    store.close()


@pytest.mark.parametrize("what", ["put", "download", "open_read", "stat", "list", "delete"])
def test_every_request_is_made_again_under_a_new_token(ending, source, folder, tmp_path, what):
    token, end, renewals = ending
    store = HttpFileStore(limits=LIMITS, transfers=TRANSFERS)
    place = folder.child("a.bin")
    small = tmp_path / "small.bin"
    small.write_bytes(b"small")
    store.upload(token, source, place)
    end()
    match what:
        case "put":
            store.upload(token, small, folder.child("small.bin"))
        case "download":
            store.download(token, place, tmp_path / "copy.bin")
            assert (tmp_path / "copy.bin").read_bytes() == CONTENT
        case "open_read":
            assert b"".join(store.open_read(token, place)) == CONTENT
        case "stat":
            assert store.stat(token, place).size == len(CONTENT)
        case "list":
            assert [stat.resource for stat in store.list(token, folder).files] == [place]
        case "delete":
            store.delete(token, place)
    assert len(renewals) == 1
    store.close()


@pytest.mark.parametrize("size", [5, 12 * MIB])
def test_a_token_that_cannot_be_renewed_is_refused(ending, folder, tmp_path, size):
    token, end, _ = ending
    end()
    store = HttpFileStore(limits=LIMITS, transfers=TRANSFERS)
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(size))
    for hopeless in (
        evolve(token, renew=None),
        evolve(token, token=token.token + "x", renew=lambda: evolve(token, renew=None)),
    ):
        with pytest.raises(AuthenticationFailed):
            store.upload(hopeless, path, folder.child("a.bin"))
        with pytest.raises(AuthenticationFailed):
            store.download(hopeless, folder.child("a.bin"), tmp_path / "copy.bin")
    store.close()


def test_a_token_of_the_server_renews_itself(served):
    token = served.server.file_token([Scope("read", Resource(("userdata",)))])
    assert token.renew is not None
    assert token.renew().scopes == token.scopes
    assert token.token not in repr(token)


def test_a_token_that_two_transfers_find_ended_is_renewed_once():
    renewals = []

    def renew():
        renewals.append(1)
        return AuthorizationToken(url="", token=f"new {len(renewals)}", scopes=(), renew=renew)

    bearer = FileBearer(AuthorizationToken(url="", token="old", scopes=(), renew=renew))
    refused = bearer.headers
    for _ in range(2):
        bearer.renew(refused, AuthenticationFailed("the token has ended"))
    assert (len(renewals), bearer.headers) == (1, authorization("new 1"))
