import io

import pytest
from rich.console import Console

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.adapters.terminal.transfer_bars import transfer_bars
from xfworker.domain.files import VERBS, AuthorizationToken, Scope, parse_resource
from xfworker.services.transfers import watch
from xfworker.services.transfers.observed import observed_transfers
from xfworker.services.transfers.transfers import Transfers

FOLDER = parse_resource("job_result/17")
TOKEN = AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, FOLDER) for verb in VERBS))
MIB = 1 << 20


class SlowStore(MemoryFileStore):
    """Tells progress in several steps, as stores over a network do."""

    def download(self, token, resource, target, *, progress=None):
        size = self.stat(token, resource).size
        for done in range(0, size, max(size // 4, 1)):
            if progress is not None:
                progress(done, size)
        return super().download(token, resource, target, progress=progress)


@pytest.fixture
def files():
    found = SlowStore()
    for number in range(5):
        found.put(FOLDER.child(f"{number}.raw"), bytes(8 * MIB))
    return found


@pytest.fixture
def transfers(files):
    return Transfers(files, LocalFilesystem(), ManualClock())


def test_every_transfer_in_the_block_is_reported_and_none_outside(transfers, tmp_path):
    seen = []
    with observed_transfers(seen.append):
        path = transfers.fetch(TOKEN, FOLDER.child("0.raw"), tmp_path)
        transfers.store(TOKEN, path, FOLDER.child("copy.raw"), working_directory=tmp_path)
    own = []
    transfers.fetch(TOKEN, FOLDER.child("1.raw"), tmp_path, progress=lambda *done: own.append(done))
    assert own[-1] == (8 * MIB, 8 * MIB)
    assert [(event.direction, event.file) for event in seen if event.is_complete] == [
        ("download", "job_result/17/0.raw"),
        ("upload", "job_result/17/copy.raw"),
    ]
    assert [event.done for event in seen[:4]] == [0, 2 * MIB, 4 * MIB, 6 * MIB]


def test_a_copy_from_a_shared_disk_is_reported_when_it_is_there(tmp_path):
    share = FolderFileStore(tmp_path / "files", direct_access_root="/share")
    (tmp_path / "source").write_bytes(bytes(MIB))
    share.upload(TOKEN, tmp_path / "source", FOLDER.child("0.raw"))
    transfers = Transfers(share, LocalFilesystem(path_map={"/share": tmp_path / "files"}), ManualClock())
    (tmp_path / "working").mkdir()
    seen, progress = [], []
    with observed_transfers(seen.append):
        path = transfers.fetch(
            TOKEN,
            FOLDER.child("0.raw"),
            tmp_path / "working",
            copy_even_on_direct_access=True,
            progress=lambda *numbers: progress.append(numbers),
        )
    assert path.parent == tmp_path / "working"
    assert [(event.direction, event.done, event.is_complete) for event in seen] == [("download", MIB, True)]
    assert progress == [(MIB, MIB)]


def test_files_that_move_side_by_side_are_reported_too(transfers, tmp_path):
    seen = []
    places = [FOLDER.child(f"{number}.raw") for number in range(5)]
    with observed_transfers(seen.append):
        transfers.fetch_many(TOKEN, places, tmp_path, parallel=3)
    assert {event.file for event in seen if event.is_complete} == {str(place) for place in places}


def test_what_the_observer_raises_stops_the_transfer(transfers, tmp_path):
    class Enough(Exception):
        pass

    def stop(event):
        if event.done:
            raise Enough

    with observed_transfers(stop), pytest.raises(Enough):
        transfers.fetch(TOKEN, FOLDER.child("0.raw"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_bars_are_drawn_on_a_terminal_only(transfers, tmp_path):
    for is_terminal in (True, False):
        drawn = io.StringIO()
        console = Console(file=drawn, force_terminal=is_terminal, width=100)
        with transfer_bars(console):
            transfers.fetch(TOKEN, FOLDER.child("0.raw"), tmp_path)
        assert ("download job_result/17/0.raw" in drawn.getvalue()) == is_terminal


def test_a_bar_shows_any_name_as_it_is(files, transfers, tmp_path):
    files.put(FOLDER.child("[b] [red]x[-b].raw"), bytes(8 * MIB))
    drawn = io.StringIO()
    with transfer_bars(Console(file=drawn, force_terminal=True, width=100)):
        transfers.fetch(TOKEN, FOLDER.child("[b] [red]x[-b].raw"), tmp_path)
    assert "[b] [red]x[-b].raw" in drawn.getvalue()


def test_the_former_names_are_the_same_things():
    assert watch.watched_transfers is observed_transfers
