import os
import shutil
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from attrs import evolve

from tests.integration.transfers.conftest import LIMITS, MIB, TRANSFERS
from tests.integration.transfers.faulty_link import Fault, refusal
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.low_water_mark import LowWaterMark
from xfworker.domain.errors import (
    ChecksumMismatch,
    FileChanged,
    FileNotInStore,
    NotEnoughSpace,
    PermissionDenied,
    ServerBusy,
    ServerTimeout,
    TransferInterrupted,
)
from xfworker.domain.files import Scope


@pytest.fixture
def place(store, served, source, folder):
    found = folder.child("scan.raw")
    store.upload(served.token(), source, found)
    return found


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".xfpart"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", ["cut_down_after", "end_down_after"])
def test_a_cut_download_goes_on_where_it_broke(store, link, token, place, content, tmp_path, share, kind):
    link.faults.append(Fault(**{kind: int(len(content) * share)}))
    stat = store.download(token, place, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content
    assert stat.size == len(content)
    assert link.down - len(content) < 8 * MIB
    assert leftovers(tmp_path) == []


def test_a_link_that_breaks_again_and_again_but_moves_is_borne(store, link, token, place, content, tmp_path):
    link.faults += [Fault(cut_down_after=2 * MIB) for _ in range(11)]
    store.download(token, place, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content
    assert link.down < len(content) + 26 * MIB


def test_a_link_that_never_moves_is_given_up_and_gone_on_with_later(store, link, token, place, content, tmp_path):
    link.faults.append(Fault(cut_down_after=10 * MIB))
    link.always = Fault(cut_down_after=0)
    arrived = [0]
    with pytest.raises(TransferInterrupted, match="the next try goes on from there"):
        store.download(token, place, tmp_path / "target", progress=lambda done, _: arrived.append(done))
    assert arrived[-1] > 4 * MIB
    assert not (tmp_path / "target").exists()
    assert len(leftovers(tmp_path)) == 2
    link.always = Fault()
    before = link.down
    store.download(token, place, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content
    # All that had arrived is kept: the rest and the answer's header come, nothing else.
    assert link.down - before < len(content) - arrived[-1] + 4096
    assert leftovers(tmp_path) == []


def test_damaged_bytes_never_get_the_name(store, link, token, place, content, tmp_path):
    link.faults.append(Fault(damage_down_at=5 * MIB))
    store.download(token, place, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content
    link.always = Fault(damage_down_at=5 * MIB, damage_every=10 * MIB)
    with pytest.raises(ChecksumMismatch, match=r"scan\.raw"):
        HttpFileStore(limits=LIMITS, transfers=TRANSFERS).download(token, place, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert leftovers(tmp_path) == []


@pytest.fixture
def small(store, served, content, folder, tmp_path):
    path = tmp_path / "small.raw"
    path.write_bytes(content[: 200 * 1024])
    found = folder.child("small.raw")
    store.upload(served.token(), path, found)
    return found


def test_a_small_file_that_arrives_damaged_is_fetched_again(store, link, token, small, content, tmp_path):
    link.faults.append(Fault(damage_down_at=100 * 1024))
    store.download(token, small, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content[: 200 * 1024]
    assert link.down > 400 * 1024


def test_a_small_file_that_is_damaged_each_time_never_gets_the_name(store, link, token, small, tmp_path):
    link.always = Fault(damage_down_at=100 * 1024, damage_every=100 * 1024)
    with pytest.raises(ChecksumMismatch, match="did not arrive as the store holds it"):
        store.download(token, small, tmp_path / "target")
    assert not (tmp_path / "target").exists()
    assert leftovers(tmp_path) == []


def test_a_small_file_goes_on_where_it_broke_over_a_link_that_never_brings_it_whole(
    store, link, token, small, content, tmp_path
):
    link.always = Fault(end_down_after=70 * 1024)
    store.download(token, small, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content[: 200 * 1024]
    assert link.down < 300 * 1024
    assert leftovers(tmp_path) == []


def test_a_silent_server_is_noticed_and_the_download_goes_on(link, token, place, content, tmp_path):
    store = HttpFileStore(limits=evolve(LIMITS, read_seconds=0.3), transfers=TRANSFERS)
    link.faults.append(Fault(stall_down_after=7 * MIB))
    store.download(token, place, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content
    assert link.down < len(content) + 8 * MIB


def test_a_server_that_falls_silent_is_said_to(link, token, place):
    link.always = Fault(stall_down_after=7 * MIB)
    store = HttpFileStore(limits=evolve(LIMITS, read_seconds=0.3), transfers=TRANSFERS)
    with pytest.raises(ServerTimeout, match="the server fell silent after 6291456 bytes"):
        for _ in store.open_read(token, place):
            pass
    store.close()


@pytest.mark.parametrize("status", [500, 502, 503, 429, 504])
def test_passing_faults_of_the_server_are_borne(store, link, token, place, content, tmp_path, status):
    link.faults += [refusal(status, "Retry-After: 0"), refusal(status, "Retry-After: 0")]
    store.download(token, place, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content


def test_throttling_is_counted_apart_from_failures(store, link, token, place, content, tmp_path):
    link.faults += [refusal(503, "Retry-After: 0") for _ in range(20)]
    store.download(token, place, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content
    link.always = refusal(503, "Retry-After: 2")
    with pytest.raises(ServerBusy):
        HttpFileStore(limits=LIMITS, transfers=TRANSFERS).download(token, place, tmp_path / "other")


def test_a_file_that_changes_meanwhile_is_fetched_anew(store, served, link, token, place, content, tmp_path):
    newer = os.urandom(20 * MIB)
    (tmp_path / "newer").write_bytes(newer)

    def replace_once(found):
        if found.down > 10 * MIB:
            found.on_bytes = lambda _: None
            HttpFileStore().upload(served.token(), tmp_path / "newer", place)

    link.on_bytes = replace_once
    link.faults.append(Fault(cut_down_after=12 * MIB))
    store.download(token, place, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == newer


def test_a_file_that_changes_all_the_time_is_an_error(store, served, link, token, place, tmp_path):
    link.always = Fault(cut_down_after=2 * MIB)
    other = HttpFileStore()
    (tmp_path / "newer").write_bytes(os.urandom(8 * MIB))
    changes = threading.Lock()

    def replace_always(found):
        if found.down % (2 * MIB) > MIB and changes.acquire(blocking=False):
            other.upload(served.token(), tmp_path / "newer", place)
            changes.release()

    link.on_bytes = replace_always
    with pytest.raises((FileChanged, TransferInterrupted)):
        store.download(token, place, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_no_room_is_noticed_before_the_first_byte(store, link, token, place, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=100, used=99, free=1))
    with pytest.raises(NotEnoughSpace, match="room for 1"):
        store.download(token, place, tmp_path / "target")
    assert leftovers(tmp_path) == []


def test_what_is_refused_is_not_tried_again(store, served, link, token, place, tmp_path):
    with pytest.raises(FileNotInStore):
        store.download(token, place.child("x"), tmp_path / "target")
    writer = evolve(served.token(Scope("write", place)), url=token.url)
    with pytest.raises(PermissionDenied, match="read"):
        store.download(writer, place, tmp_path / "target")
    assert link.connections == 1
    assert leftovers(tmp_path) == []


_CLIENT = """
import sys
from pathlib import Path
from tests.integration.transfers.conftest import LIMITS, TRANSFERS
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.low_water_mark import LowWaterMark
from xfworker.domain.files import AuthorizationToken, parse_resource
url, secret, place, target = sys.argv[1:]
def tell(done, total):
    print(done, flush=True)
HttpFileStore(limits=LIMITS, transfers=TRANSFERS).download(
    AuthorizationToken(url=url, token=secret), parse_resource(place), Path(target), progress=tell
)
"""


@pytest.mark.parametrize("ending", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_killed_download_goes_on_in_another_process(store, link, token, place, content, tmp_path, ending):
    link.always = Fault(bytes_per_second=60 * MIB)
    client = subprocess.Popen(
        [sys.executable, "-c", _CLIENT, token.url, token.token, str(place), str(tmp_path / "target")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    while int(client.stdout.readline()) < 12 * MIB:
        pass
    client.send_signal(getattr(signal, ending))
    client.stdout.close()
    client.wait(timeout=5)
    assert not (tmp_path / "target").exists()
    link.always = Fault()
    before = link.down
    store.download(token, place, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content
    assert link.down - before < len(content) - 8 * MIB
    assert leftovers(tmp_path) == []


def test_what_an_earlier_process_left_damaged_is_not_trusted(store, link, token, place, content, tmp_path):
    link.faults.append(Fault(cut_down_after=10 * MIB))
    link.always = Fault(cut_down_after=0)
    with pytest.raises(TransferInterrupted):
        store.download(token, place, tmp_path / "target")
    link.always = Fault()
    partial = next(tmp_path / name for name in leftovers(tmp_path) if not name.endswith(".json"))
    with partial.open("r+b") as file:
        file.seek(MIB)
        file.write(b"spoiled")
    store.download(token, place, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content


def test_two_downloads_to_one_name_do_not_disturb_each_other(store, link, token, place, content, tmp_path):
    faults = []

    def fetch():
        try:
            store.download(token, place, tmp_path / "target")
        except Exception as error:  # noqa: BLE001  told in the test's own thread
            faults.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert (tmp_path / "target").read_bytes() == content
    assert leftovers(tmp_path) == []


def test_several_connections_are_used_where_the_network_gains_from_it(served, link, token, folder, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(os.urandom(64 * MIB))
    place = folder.child("big.raw")
    store = HttpFileStore(
        limits=LIMITS, transfers=evolve(TRANSFERS, connections_per_file=4, ranges_above_bytes=8 * MIB)
    )
    store.upload(served.token(), big, place)
    link.always = Fault(bytes_per_second=10 * MIB)
    told = []
    store.download(token, place, tmp_path / "target", progress=lambda *done: told.append(done))
    assert (tmp_path / "target").read_bytes() == big.read_bytes()
    assert link.connections > 1
    assert link.down < 72 * MIB
    assert told[-1] == (64 * MIB, 64 * MIB)


def test_ranges_that_break_are_fetched_again(served, link, token, folder, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(os.urandom(48 * MIB))
    place = folder.child("big.raw")
    store = HttpFileStore(
        limits=LIMITS, transfers=evolve(TRANSFERS, connections_per_file=3, ranges_above_bytes=8 * MIB)
    )
    store.upload(served.token(), big, place)
    link.faults = [
        Fault(bytes_per_second=8 * MIB),
        Fault(bytes_per_second=8 * MIB, cut_down_after=5 * MIB),
        Fault(bytes_per_second=8 * MIB, cut_down_after=3 * MIB),
    ]
    store.download(token, place, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == big.read_bytes()
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the mark is used on Linux only")
def test_a_connection_that_was_read_in_bulk_serves_small_answers_again(
    link, token, place, content, tmp_path, monkeypatch
):
    raised = []
    raise_to = LowWaterMark.raise_to
    monkeypatch.setattr(LowWaterMark, "raise_to", lambda mark, count: (raised.append(count), raise_to(mark, count)))
    store = HttpFileStore(limits=LIMITS, transfers=TRANSFERS)
    store.download(token, place, tmp_path / "target")
    assert max(raised) > 1
    assert store.stat(token, place).size == len(content)
    answer = store.open_read(token, place, offset=5, length=10)
    assert b"".join(answer) == content[5:15]
    # Were the mark still up, neither the end of the file nor a small answer would have woken anybody.
    assert link.connections == 1
    store.close()
