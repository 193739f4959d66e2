"""The files of a job's outputs in a folder: under their own names, beside what is there, each fetched once."""

import os
import stat
import sys

import pytest

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.api.composition.platform import memory_platform
from xfworker.domain.errors import TransferInterrupted
from xfworker.domain.files import Scope, userdata_resource
from xfworker.services.jobs.results import collect_files
from xfworker.services.platform.principal import ADMIN
from xfworker.services.transfers.observed import observed_transfers


class Results:
    def __init__(self, folder):
        self.server = memory_platform().server_for(ADMIN)
        self.files = MemoryFileStore()
        self.source = folder / "source"
        self.source.mkdir()
        self.folder = folder / "results"

    def output(self, *names, kind="Image"):
        for name in names:
            path = self.source / name
            path.write_bytes(name.encode())
            resource = userdata_resource(f"set/{name}")
            self.files.upload(self.server.file_token([Scope("write", resource)]), path, resource)
        return self.named(*names, kind=kind)

    def named(self, *names, kind="Image"):
        value = {"type": kind, "source": "userdata", "virtualpath": "set", "filename": names[0]}
        return {**value, "filenames": list(names[1:])} if names[1:] else value

    def collect(self, **outputs):
        return collect_files(self.server, self.files, LocalFilesystem(), outputs, self.folder)


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path)


def test_files_get_their_own_names_and_values_without_files_get_none(results):
    results.folder = results.folder / "of the run"
    seen = []
    with observed_transfers(seen.append):
        collected = results.collect(mask=results.output("mask.aim"), count=3)
    assert {(event.direction, event.file) for event in seen} == {("download", "userdata/set/mask.aim")}
    assert (collected.paths, collected.errors) == ({"mask": [results.folder / "mask.aim"]}, ())
    assert (results.folder / "mask.aim").read_bytes() == b"mask.aim"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_files_have_the_rights_of_new_ones_although_working_directories_are_closed(results):
    class Closed(MemoryFileStore):
        def download(self, token, resource, target, *, progress=None):
            super().download(token, resource, target, progress=progress)
            target.chmod(0o600)

    results.files = Closed()
    before = os.umask(0o026)
    try:
        results.collect(mask=results.output("mask.aim"))
    finally:
        assert os.umask(before) == 0o026
    assert stat.S_IMODE((results.folder / "mask.aim").stat().st_mode) == 0o640


def test_files_that_name_each_other_stand_beside_others_where_their_names_are_free(results):
    paths = results.collect(mask=results.output("a.omni", "b.raw")).paths["mask"]
    assert [path.relative_to(results.folder).as_posix() for path in paths] == ["a.omni", "b.raw"]


def test_a_file_that_several_outputs_share_is_fetched_once(results):
    shared = results.output("mask.aim")
    collected = results.collect(first=shared, second=shared)
    assert collected.paths["first"] == collected.paths["second"]
    assert [path.name for path in results.folder.iterdir()] == ["mask.aim"]


def test_a_file_whose_name_is_taken_gets_a_number(results):
    results.folder.mkdir()
    (results.folder / "mask.aim").write_bytes(b"mine")
    (path,) = results.collect(mask=results.output("mask.aim")).paths["mask"]
    assert (path.name, (results.folder / "mask.aim").read_bytes()) == ("mask_2.aim", b"mine")


def test_files_that_name_each_other_keep_their_names_in_a_folder_where_one_is_taken(results):
    results.folder.mkdir()
    (results.folder / "b.raw").write_bytes(b"mine")
    paths = results.collect(**{"my mask-1": results.output("a.omni", "b.raw")}).paths["my mask-1"]
    assert [path.relative_to(results.folder).as_posix() for path in paths] == [
        "my_mask-1_files/a.omni",
        "my_mask-1_files/b.raw",
    ]
    paths = results.collect(**{"m" * 70: results.output("a.omni", "b.raw")}).paths["m" * 70]
    assert paths[0].parent.name == "m" * 60 + "_files"


def test_an_output_whose_file_is_not_stored_is_named_and_the_others_come(results):
    collected = results.collect(gone=results.named("gone.aim"), mask=results.output("mask.aim"))
    assert list(collected.paths) == ["mask"]
    assert len(collected.errors) == 1
    assert collected.errors[0].startswith("output gone: ")
    assert not collected.left


def test_a_folder_that_cannot_be_made_is_named_and_the_files_are_left(results):
    results.folder.write_bytes(b"a file")
    collected = results.collect(mask=results.output("mask.aim"))
    assert collected.errors[0].startswith(f"output mask: its files cannot be brought to {results.folder}")
    assert collected.left


def test_an_output_whose_transfer_fails_is_named_and_may_come_when_it_is_asked_for_again(results):
    named = results.output("mask.aim")

    class CutOff(MemoryFileStore):
        def download(self, token, resource, target, *, progress=None):
            raise TransferInterrupted(f"{resource} was cut off")

    results.files = CutOff()
    collected = results.collect(mask=named)
    assert (collected.paths, collected.left) == ({}, True)
    assert collected.errors == ("output mask: userdata/set/mask.aim was cut off",)
