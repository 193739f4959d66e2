"""Which way a file takes: in place, copied, or over the store; and what the log says of it."""

import os

import pytest
import structlog

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.domain.errors import FileError, FileNotInStore, TransferInterrupted
from xfworker.domain.files import VERBS, AuthorizationToken, Scope, parse_resource
from xfworker.services.transfers.side_by_side import side_by_side
from xfworker.services.transfers.transfers import Transfers

FOLDER = parse_resource("job_result/17")
PLACE = FOLDER.child("scan.raw")
TOKEN = AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, FOLDER) for verb in VERBS))
SHARE = r"\\server\share"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "files"


@pytest.fixture
def shared(root):
    return FolderFileStore(root, direct_access_root=SHARE, direct_writes=True)


@pytest.fixture
def working(tmp_path):
    found = tmp_path / "working"
    found.mkdir()
    return found


@pytest.fixture
def disks(root):
    return LocalFilesystem(path_map={SHARE: root})


@pytest.fixture
def content(shared, tmp_path):
    found = os.urandom(3 << 20)
    (tmp_path / "source").write_bytes(found)
    shared.upload(TOKEN, tmp_path / "source", PLACE)
    return found


@pytest.fixture
def log():
    with structlog.testing.capture_logs() as entries:
        yield entries


def transfers(files, disks):
    return Transfers(files, disks, ManualClock())


def fetch_it(files, disks, working, **options):
    return transfers(files, disks).fetch(TOKEN, PLACE, working, **options)


def events(log):
    return [entry["event"].removeprefix("xfworker.") for entry in log]


def test_a_file_on_a_shared_disk_is_used_where_it_lies(shared, disks, working, root, content, log):
    path = fetch_it(shared, disks, working)
    assert path == root / "job_result" / "17" / "scan.raw"
    assert list(working.iterdir()) == []
    assert events(log) == ["direct_access_used"]


def test_a_copy_is_the_scripts_own(shared, disks, working, content, log):
    path = fetch_it(shared, disks, working, copy_even_on_direct_access=True)
    assert path.parent == working
    path.write_bytes(b"changed")
    assert b"".join(shared.open_read(TOKEN, PLACE)) == content
    assert [entry["way"] for entry in log if "way" in entry] == ["copy"]


def test_where_the_share_is_not_mounted_the_file_is_fetched(shared, working, content, log):
    path = fetch_it(shared, LocalFilesystem(), working)
    assert path == working / "scan.raw"
    assert path.read_bytes() == content
    refused = next(entry for entry in log if entry["event"] == "xfworker.direct_access_refused")
    assert "path map" in refused["reason"]
    assert events(log)[-1] == "download_finished"


@pytest.mark.parametrize("damage", ["size", "content", "folder"])
def test_another_file_under_the_mapped_path_is_not_taken_for_it(shared, working, content, tmp_path, log, damage):
    mirror = tmp_path / "mirror" / "job_result" / "17"
    mirror.mkdir(parents=True)
    if damage == "folder":
        (mirror / "scan.raw").mkdir()
    else:
        (mirror / "scan.raw").write_bytes(content[:-1] if damage == "size" else content[:-1] + b"?")
    path = fetch_it(shared, LocalFilesystem(path_map={SHARE: tmp_path / "mirror"}), working)
    assert path.parent == working
    assert path.read_bytes() == content
    assert "direct_access_refused" in events(log)


def test_reading_in_place_never_opens_for_writing(shared, disks, working, root, content):
    target = root / "job_result" / "17" / "scan.raw"
    target.chmod(0o400)
    before = target.stat()
    fetch_it(shared, disks, working)
    after = target.stat()
    assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)


def test_an_output_is_written_into_the_store_and_only_registered(shared, disks, working, root, log):
    path = transfers(shared, disks).writable_path(TOKEN, PLACE, working / "scan.raw")
    assert path == root / "job_result" / "17" / "scan.raw"
    path.write_bytes(b"written directly")
    inode = path.stat().st_ino
    stat = transfers(shared, disks).store(TOKEN, path, PLACE, working_directory=working)
    assert stat.size == 16
    assert path.stat().st_ino == inode
    assert [entry["way"] for entry in log if "way" in entry] == ["direct"]


def test_an_output_goes_to_the_working_directory_where_the_store_cannot_be_written(root, disks, working, log):
    readable = FolderFileStore(root, direct_access_root=SHARE)
    assert transfers(readable, disks).writable_path(TOKEN, PLACE, working / "a") == working / "a"
    unmounted = FolderFileStore(root, direct_access_root=SHARE, direct_writes=True)
    assert transfers(unmounted, LocalFilesystem()).writable_path(TOKEN, PLACE, working / "a") == working / "a"
    assert events(log) == ["direct_access_refused"]
    (working / "a").write_bytes(b"x")
    transfers(unmounted, disks).store(TOKEN, working / "a", PLACE, working_directory=working)
    assert (root / "job_result" / "17" / "scan.raw").read_bytes() == b"x"


def test_what_may_only_be_read_in_place_is_uploaded_although_it_lies_there(root, disks, content, log):
    readable = FolderFileStore(root, direct_access_root=SHARE)
    transfers(readable, disks).store(TOKEN, root / "job_result" / "17" / "scan.raw", PLACE)
    assert [entry["way"] for entry in log if "way" in entry] == ["upload"]
    assert b"".join(readable.open_read(TOKEN, PLACE)) == content


def test_many_files_keep_their_order_and_their_names(disks, working, tmp_path):
    files = MemoryFileStore()
    places = [FOLDER.child(f"{number % 50}").child(f"file-{number // 50}.raw") for number in range(200)]
    for place in places:
        files.put(place, str(place).encode())
    told = []
    paths = transfers(files, disks).fetch_many(
        TOKEN, places, working, progress=lambda *done: told.append(done), parallel=4
    )
    assert [path.read_bytes().decode() for path in paths] == [str(place) for place in places]
    assert len(set(paths)) == 200
    assert told[-1] == (200, 200)
    stats = transfers(files, disks).store_many(TOKEN, [(path, FOLDER.child(path.name)) for path in paths])
    assert [stat.resource.filename for stat in stats] == [path.name for path in paths]


def test_one_failure_names_its_file_and_keeps_the_finished(disks, working):
    files = MemoryFileStore()
    places = [FOLDER.child(f"{number}.raw") for number in range(20)]
    for place in places:
        if place.filename != "13.raw":
            files.put(place, b"x")
    with pytest.raises(FileNotInStore, match=r"13\.raw"):
        transfers(files, disks).fetch_many(TOKEN, places, working, parallel=1)
    assert (working / "0.raw").exists()
    assert not (working / "13.raw").exists()


def test_many_files_of_a_shared_disk_are_used_in_place(shared, disks, working, content):
    assert (
        transfers(shared, disks).fetch_many(TOKEN, [PLACE, PLACE], working)
        == [disks.local_path(rf"{SHARE}\job_result\17\scan.raw")] * 2
    )


def test_nothing_is_fetched_where_nothing_is_asked_for(disks, working):
    assert transfers(MemoryFileStore(), disks).fetch_many(TOKEN, [], working) == []


def test_a_failure_stops_the_others_at_their_next_block():
    stopped = []

    def work(item, go_on):
        if item == 0:
            raise FileError("the first failed")
        try:
            while True:
                go_on(0, 1)
        except TransferInterrupted:
            stopped.append(item)
            raise

    with pytest.raises(FileError, match="the first failed"):
        side_by_side(work, [0, 1], parallel=2)


def test_a_copy_that_the_disk_refuses_is_fetched_over_the_store(shared, disks, working, content, log, monkeypatch):
    class NoCopies(LocalFilesystem):
        def copy(self, source, target):
            raise FileError("the share went away")

    refusing = NoCopies(path_map={SHARE: disks.local_path(SHARE)})
    path = transfers(shared, refusing).fetch(TOKEN, PLACE, working, copy_even_on_direct_access=True)
    assert path.read_bytes() == content
    assert ("xfworker.direct_access_refused", "the share went away") in [(e["event"], e.get("reason")) for e in log]


class NoShare(LocalFilesystem):
    """A disk on which no path of the store's can be found."""

    def local_path(self, direct_access_path):
        raise FileError(f"{direct_access_path} is not mapped here")


class ReadOnly(LocalFilesystem):
    """A disk on which nothing can be written where the store's files lie."""

    def can_write(self, path):
        return False


def test_a_path_that_is_not_known_on_this_machine_is_said_and_the_file_fetched(shared, working, content, log):
    path = transfers(shared, NoShare()).fetch(TOKEN, PLACE, working)
    assert (path.parent, path.read_bytes()) == (working, content)
    assert any("is not mapped here" in str(entry.get("reason")) for entry in log)


@pytest.mark.parametrize("filesystem", [NoShare, ReadOnly])
def test_where_nothing_can_be_written_directly_a_file_is_written_here_and_sent(
    shared, root, working, content, log, filesystem
):
    moving = transfers(shared, filesystem(path_map={SHARE: root}))
    path = moving.writable_path(TOKEN, FOLDER.child("new.raw"), working / "new.raw")
    assert path == working / "new.raw"
    assert "xfworker.direct_access_refused" in [entry["event"] for entry in log]
    (working.parent / "outside.raw").write_bytes(b"x")
    moving.store(TOKEN, working.parent / "outside.raw", FOLDER.child("new.raw"), working_directory=working)
    assert (root / "job_result/17/new.raw").read_bytes() == b"x"


def test_many_files_are_fetched_without_a_look_at_the_share_where_the_caller_has_looked(
    shared, disks, working, content
):
    [path] = transfers(shared, disks).fetch_many(TOKEN, [PLACE], working, look_in_place=False)
    assert path.parent == working
    assert path.read_bytes() == content


def test_the_log_says_how_much_took_how_long_and_an_upload_that_fails_raises(working, log):
    class Slow(MemoryFileStore):
        def upload(self, token, source, resource, *, progress=None):
            clock.advance(1.23456)
            if resource.filename == "refused.raw":
                raise FileError("no room")
            return super().upload(token, source, resource, progress=progress)

    clock = ManualClock()
    clock.advance(100)
    stores = Transfers(Slow(), LocalFilesystem(), clock)
    (working / "scan.raw").write_bytes(b"12345")
    stores.store(TOKEN, working / "scan.raw", PLACE)
    with pytest.raises(FileError, match="no room"):
        stores.store(TOKEN, working / "scan.raw", FOLDER.child("refused.raw"))
    assert [(entry.get("bytes"), entry.get("seconds")) for entry in log if "bytes" in entry] == [(5, 1.235)]
