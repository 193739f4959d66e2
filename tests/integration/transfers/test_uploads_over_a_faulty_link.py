import os
import signal
import subprocess
import sys
import threading

import pytest
import xxhash
from attrs import evolve

from tests.integration.transfers.conftest import LIMITS, MIB, TRANSFERS
from tests.integration.transfers.faulty_link import Fault, faulty_link, refusal
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.errors import (
    ChecksumMismatch,
    FileChanged,
    FileNotInStore,
    PermissionDenied,
    ServerTimeout,
    TransferInterrupted,
)
from xfworker.domain.files import VERBS, Resource, Scope


@pytest.fixture
def stored(served):
    """What the store holds, read past the link."""
    direct = HttpFileStore()

    def read(place):
        return b"".join(direct.open_read(served.token(), place))

    yield read
    direct.close()


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".xfpart"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9, 0.999])
def test_a_cut_upload_goes_on_where_it_broke(store, link, token, source, content, folder, stored, tmp_path, share):
    link.faults.append(Fault(cut_up_after=int(len(content) * share) + 1000))
    stat = store.upload(token, source, folder.child("scan.raw"))
    assert stat.xxh3 == xxhash.xxh3_128(content).hexdigest()
    assert stored(folder.child("scan.raw")) == content
    assert link.up - len(content) < 10 * MIB
    assert leftovers(tmp_path) == []


def test_a_link_that_breaks_again_and_again_but_moves_is_borne(store, link, token, source, content, folder, stored):
    link.faults += [Fault(cut_up_after=3 * MIB) for _ in range(7)]
    store.upload(token, source, folder.child("scan.raw"))
    assert stored(folder.child("scan.raw")) == content
    assert link.up < len(content) + 24 * MIB


def test_the_last_answer_can_get_lost(store, link, token, source, content, folder, stored):
    lost = Fault(only=b"PATCH", cut_down_after=0)
    small = HttpFileStore(limits=LIMITS, transfers=evolve(TRANSFERS, request_bytes=64 * MIB, block_bytes=32 * MIB))
    # One request carries everything; the server has the file, and the client does not know.
    link.faults += [Fault(only=b"POST", end_down_after=100000), lost]
    stat = small.upload(token, source, folder.child("scan.raw"))
    assert stat.xxh3 == xxhash.xxh3_128(content).hexdigest()
    assert stored(folder.child("scan.raw")) == content


def test_damage_is_noticed_by_the_next_request_and_only_what_follows_is_sent_again(
    store, link, token, source, content, folder, stored
):
    link.faults.append(Fault(damage_up_at=9 * MIB))
    store.upload(token, source, folder.child("scan.raw"))
    assert stored(folder.child("scan.raw")) == content
    assert link.up < len(content) + 9 * MIB


def test_damage_in_the_last_block_is_noticed(store, link, token, source, content, folder, stored):
    link.faults.append(Fault(damage_up_at=len(content) - 1000))
    store.upload(token, source, folder.child("scan.raw"))
    assert stored(folder.child("scan.raw")) == content


def test_damage_without_end_is_an_error_and_publishes_nothing(store, link, token, served, source, folder):
    link.always = Fault(damage_up_at=3 * MIB, damage_every=3 * MIB)
    with pytest.raises((ChecksumMismatch, TransferInterrupted)):
        store.upload(token, source, folder.child("scan.raw"))
    with pytest.raises(FileNotInStore):
        HttpFileStore().stat(served.token(), folder.child("scan.raw"))


def test_a_small_file_is_one_verified_request(store, link, token, folder, stored, tmp_path):
    small = tmp_path / "small"
    small.write_bytes(os.urandom(200 * 1024))
    link.faults.append(Fault(damage_up_at=100 * 1024))
    store.upload(token, small, folder.child("small"))
    assert stored(folder.child("small")) == small.read_bytes()
    link.faults.append(Fault(cut_down_after=0))
    store.upload(token, small, folder.child("small"))


@pytest.mark.parametrize("status", [500, 503, 409, 429, 460])
def test_passing_faults_of_the_server_are_borne(store, link, token, source, content, folder, stored, status):
    link.faults += [
        Fault(only=b"POST", cut_up_after=2 * MIB),
        refusal(status, "Retry-After: 0", "Tus-Resumable: 1.0.0"),
        refusal(status, "Retry-After: 0", "Tus-Resumable: 1.0.0"),
    ]
    store.upload(token, source, folder.child("scan.raw"))
    assert stored(folder.child("scan.raw")) == content


def test_a_server_that_says_conflict_for_ever_is_given_up(store, link, token, source, folder):
    link.faults.append(Fault(only=b"POST", cut_up_after=2 * MIB))
    link.always = refusal(409, "Tus-Resumable: 1.0.0")
    with pytest.raises(TransferInterrupted):
        store.upload(token, source, folder.child("scan.raw"))


def test_a_peer_that_takes_nothing_is_noticed_by_the_write_limit(source, folder, tmp_path):
    import socket

    from xfworker.domain.files import AuthorizationToken

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        store = HttpFileStore(
            limits=evolve(LIMITS, connect_seconds=5.0, write_seconds=0.3),
            transfers=evolve(TRANSFERS, attempts=1, single_put_bytes=1 << 30),
        )
        token = AuthorizationToken(url=f"http://127.0.0.1:{deaf.getsockname()[1]}", token="x")
        with pytest.raises(TransferInterrupted, match="too long to take the data") as caught:
            store.upload(token, source, folder.child("scan.raw"))
        assert isinstance(caught.value.__cause__, ServerTimeout)


def test_a_file_that_changes_is_an_error_and_publishes_nothing(store, link, token, served, source, folder):
    def change(done, _total):
        if done > 8 * MIB:
            with source.open("r+b") as file:
                file.write(b"changed")

    with pytest.raises(FileChanged, match="complete"):
        store.upload(token, source, folder.child("scan.raw"), progress=change)
    with pytest.raises(FileNotInStore):
        HttpFileStore().stat(served.token(), folder.child("scan.raw"))


def test_a_file_that_shrinks_is_an_error(store, link, token, source, folder):
    with pytest.raises(FileChanged):
        store.upload(
            token, source, folder.child("a"), progress=lambda done, _: done > 8 * MIB and os.truncate(source, 9 * MIB)
        )


def test_what_changed_between_two_attempts_is_sent_anew(store, link, token, source, folder, stored):
    link.faults.append(Fault(cut_up_after=12 * MIB))
    link.always = Fault(cut_up_after=0)
    with pytest.raises(TransferInterrupted):
        store.upload(token, source, folder.child("a"))
    link.always = Fault()
    newer = os.urandom(source.stat().st_size)
    source.write_bytes(newer)
    store.upload(token, source, folder.child("a"))
    assert stored(folder.child("a")) == newer


def test_what_changed_at_its_old_time_after_all_of_it_had_arrived_is_sent_anew(store, token, source, folder, stored):
    class EndedError(Exception):
        """The process ended before it could note that all is done."""

    def end(done, size):
        if done == size:
            raise EndedError

    with pytest.raises(EndedError):
        store.upload(token, source, folder.child("a"), progress=end)
    before, newer = source.stat(), os.urandom(source.stat().st_size)
    source.write_bytes(newer)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    store.upload(token, source, folder.child("a"))
    assert stored(folder.child("a")) == newer


def test_what_is_refused_is_not_tried_again(store, served, link, token, source, folder):
    reader = evolve(served.token(Scope("read", folder)), url=token.url)
    with pytest.raises(PermissionDenied, match="write"):
        store.upload(reader, source, folder.child("a"))
    assert link.connections == 1


_CLIENT = """
import sys
from pathlib import Path
from tests.integration.transfers.conftest import LIMITS, TRANSFERS
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.domain.files import AuthorizationToken, parse_resource
url, secret, place, source = sys.argv[1:]
def tell(done, total):
    print(done, flush=True)
HttpFileStore(limits=LIMITS, transfers=TRANSFERS).upload(
    AuthorizationToken(url=url, token=secret), Path(source), parse_resource(place), progress=tell
)
"""


@pytest.mark.parametrize("ending", ["SIGKILL", "SIGINT"])
def test_a_killed_upload_goes_on_in_another_process(
    store, link, token, source, content, folder, stored, tmp_path, ending
):
    link.always = Fault(bytes_per_second=60 * MIB)
    client = subprocess.Popen(
        [sys.executable, "-c", _CLIENT, token.url, token.token, str(folder.child("scan.raw")), str(source)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    while int(client.stdout.readline()) < 16 * MIB:
        pass
    client.send_signal(getattr(signal, ending))
    client.stdout.close()
    client.wait(timeout=5)
    link.always = Fault()
    before = link.up
    store.upload(token, source, folder.child("scan.raw"))
    assert stored(folder.child("scan.raw")) == content
    assert link.up - before < len(content) - 10 * MIB
    assert leftovers(tmp_path) == []


@pytest.fixture
def own_server(tmp_path_factory):
    with EmbeddedServer(tmp_path_factory.mktemp("own")) as embedded:
        yield embedded


def test_a_killed_server_is_waited_for_and_gone_on_with(own_server, source, content, folder):
    """The server is killed in the middle, and another over the same folder takes its place."""
    store = HttpFileStore(limits=evolve(LIMITS, backoff_seconds=0.05), transfers=evolve(TRANSFERS, attempts=12))
    scopes = [Scope(verb, Resource(("userdata",))) for verb in VERBS]
    data = own_server.data
    with faulty_link(own_server.url) as link:
        token = HttpXFServer(HttpTransport(own_server.url, token=own_server.admin_token)).file_token(scopes)
        token = evolve(token, url=f"{link.url}/fss/v1")
        successors = []

        def restart():
            os.kill(own_server.pid, signal.SIGKILL)
            link.cut_all()
            successor = EmbeddedServer(data)
            successor.__enter__()
            successors.append(successor)
            link.server = (successor.host, successor.port)

        def kill_once(found):
            if found.up > 10 * MIB:
                found.on_bytes = lambda _: None
                threading.Thread(target=restart).start()

        link.on_bytes = kill_once
        try:
            stat = store.upload(token, source, folder.child("scan.raw"))
            assert stat.xxh3 == xxhash.xxh3_128(content).hexdigest()
            assert b"".join(store.open_read(token, folder.child("scan.raw"))) == content
            assert link.up < len(content) + 24 * MIB
        finally:
            for successor in successors:
                successor.__exit__(None, None, None)


def test_cancellation_comes_through_at_once_and_can_be_gone_on_with(
    store, link, token, source, content, folder, stored, tmp_path
):
    class Cancelled(Exception):
        pass

    def cancel(done, total):
        if done > 10 * MIB:
            raise Cancelled

    with pytest.raises(Cancelled):
        store.upload(token, source, folder.child("scan.raw"), progress=cancel)
    assert len(leftovers(tmp_path)) == 1
    before = link.up
    store.upload(token, source, folder.child("scan.raw"))
    assert stored(folder.child("scan.raw")) == content
    assert link.up - before < len(content) - 4 * MIB
