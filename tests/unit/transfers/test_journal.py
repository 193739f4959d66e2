import json
import os
import socket

import pytest

from xfworker.adapters.transfer import journal
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.adapters.transfer.partial_download import PartialDownload
from xfworker.adapters.transfer.partial_file import partial_path
from xfworker.domain.files import FileStat, parse_resource


def test_notes_of_a_transfer_that_was_given_up_are_taken_over_once(tmp_path):
    mine = journal.begin(tmp_path, "key")
    mine.data.write_bytes(b"half")
    mine.save(position=4)
    beside = journal.begin(tmp_path, "key")  # its process, this one, lives
    assert beside.fields == {}
    beside.save(position=99)
    beside.remove()
    mine.release()
    found = journal.begin(tmp_path, "key")
    assert found.fields["position"] == 4
    assert found.data.read_bytes() == b"half"
    assert journal.begin(tmp_path, "key").fields == {}
    found.remove()
    assert list(tmp_path.iterdir()) == []


def test_notes_of_something_else_are_left_alone(tmp_path):
    mine = journal.begin(tmp_path, "key")
    mine.save(position=4)
    mine.release()
    assert journal.begin(tmp_path, "another key").fields == {}


def test_notes_of_a_dead_process_are_taken_over_and_of_another_machine_only_when_old(tmp_path):
    mine = journal.begin(tmp_path, "key")
    mine.save(position=4)
    fields = json.loads(mine.path.read_text())
    fields["owner"] = {"host": "elsewhere", "pid": 1, "started": "1"}
    mine.path.write_text(json.dumps(fields))
    assert journal.begin(tmp_path, "key").fields == {}
    os.utime(mine.path, (1, 1))
    assert journal.begin(tmp_path, "key").fields["position"] == 4
    fields["owner"] = {"host": socket.gethostname(), "pid": os.getpid(), "started": "another life"}
    mine.path.write_text(json.dumps(fields))
    assert journal.begin(tmp_path, "key").fields["position"] == 4


def test_notes_cannot_name_a_file_that_is_not_theirs(tmp_path):
    (tmp_path / "precious").write_bytes(b"x")
    mine = journal.begin(tmp_path, "key")
    mine.path.write_text(json.dumps({"data": "precious", "owner": None}))
    journal.begin(tmp_path, "key").remove()
    assert (tmp_path / "precious").read_bytes() == b"x"


def test_damaged_notes_are_no_fault(tmp_path):
    mine = journal.begin(tmp_path, "key")
    mine.path.write_bytes(b"\xff{")
    assert journal.begin(tmp_path, "key").fields == {}


def test_a_folder_that_takes_no_notes_is_no_fault(tmp_path):
    mine = journal.begin(tmp_path / "absent", "key")
    mine.save(position=4)
    mine.release()
    mine.remove()


def test_old_orphans_are_swept_and_nothing_else(tmp_path):
    old, new = journal.begin(tmp_path, "old"), journal.begin(tmp_path, "new")
    for mine in (old, new):
        mine.data.write_bytes(b"x")
        mine.save()
    folder = partial_path(tmp_path)  # as of an image format that is a folder of files
    folder.mkdir()
    (folder / "0").write_bytes(b"x")
    for path in (old.data, old.path, folder):
        os.utime(path, (1, 1))
    (tmp_path / "scan.raw").write_bytes(b"x")
    os.utime(tmp_path / "scan.raw", (1, 1))
    journal.sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([new.data, new.path, tmp_path / "scan.raw"])


@pytest.mark.parametrize(("size", "left"), [(1 << 20, 0), ((1 << 20) + 1, 2)])
def test_only_of_a_file_that_is_worth_it_something_is_left_to_go_on_from(tmp_path, size, left):
    part = PartialDownload("userdata/a.raw", "key", tmp_path / "a.raw", TransferLimits())
    part.restart(FileStat(resource=parse_resource("userdata/a.raw"), size=size, etag="1"))
    block = part.pool.take()
    part.write(part.spans.take_first(), block, 1000)
    part.leave()
    assert len(list(tmp_path.iterdir())) == left


@pytest.mark.parametrize("is_damaged", [False, True])
def test_what_an_earlier_attempt_verified_is_verified_again_before_it_is_gone_on_from(tmp_path, is_damaged):
    size = 4 << 20
    stat = FileStat(resource=parse_resource("userdata/a.raw"), size=size, etag="1")

    def begin():
        return PartialDownload("userdata/a.raw", "key", tmp_path / "a.raw", TransferLimits())

    first = begin()
    first.restart(stat)
    block = first.pool.take()
    block[:1000] = bytes(1000)
    first.write(first.spans.take_first(), block, 1000)
    first.leave()
    if is_damaged:
        [data] = [path for path in tmp_path.iterdir() if path.suffix != ".json"]
        data.write_bytes(b"1" + bytes(999))
    again = begin()
    again.resume(lambda value: FileStat(resource=stat.resource, size=value["size"], etag=value["etag"]))
    assert again.resumed_at == (0 if is_damaged else 1000)
    again.discard()
