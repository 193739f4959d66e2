"""Packages on their way to a server."""

import json

import pytest
from attrs import define

from xfworker.api.cli.package_folder import package_folder
from xfworker.api.composition.target import load_target
from xfworker.domain.change import Change
from xfworker.domain.errors import NotEnoughSpace, PackageError, RecordConflict
from xfworker.domain.package import PACKAGE
from xfworker.domain.records import TaskType
from xfworker.ports.file_store import FileStore
from xfworker.services.packages.archive import pack
from xfworker.services.packages.cache import PackageCache
from xfworker.services.packages.check import check_package
from xfworker.services.packages.checkin import check_in

METADATA = {"package_format": "XFP-TT1.0", "name": "Lab.Threshold", "version": "1.0.0.0"}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    write(folder, "print(1)\n", "n")
    return folder


def write(folder, script, output):
    (folder / "metadata.json").write_text(json.dumps(METADATA))
    (folder / "interface.json").write_text(json.dumps({"inputs": [], "outputs": [{"key": output, "type": "Int"}]}))
    (folder / "main.py").write_text(script)


def test_an_archive_holds_what_its_folder_holds(folder, tmp_path):
    archive = tmp_path / "package.xfp"
    pack(folder, archive)
    with package_folder(archive) as unpacked:
        assert check_package(unpacked) == check_package(folder)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / ".owner").write_text("held")
    assert check_package(load_target(archive, scratch).script.parent) == check_package(folder)


def test_installing_an_archive_and_its_folder_is_installing_one_package(folder, tmp_path, xf_platform):
    archive = tmp_path / "package.xfp"
    pack(folder, archive)
    first = check_in(xf_platform.server, xf_platform.files, folder)
    with package_folder(archive) as unpacked:
        second = check_in(xf_platform.server, xf_platform.files, unpacked)
    assert (first.is_new, second.is_new) == (True, False)
    assert second.record == first.record


def test_other_files_under_one_version_are_refused_unless_they_replace_it(folder, tmp_path, xf_platform):
    first = check_in(xf_platform.server, xf_platform.files, folder).record
    write(folder, "print(2)\n", "m")
    with pytest.raises(PackageError, match="--replace"):
        check_in(xf_platform.server, xf_platform.files, folder)
    done = check_in(xf_platform.server, xf_platform.files, folder, replace=True)
    assert done.is_replaced
    assert done.record.serial == first.serial
    assert [field["key"] for field in done.record.interface["outputs"]] == ["m"]
    cache = PackageCache(tmp_path / "cache")
    assert (cache.get(xf_platform.server, xf_platform.files, done.record) / "main.py").read_text() == "print(2)\n"
    # A worker that claimed a job before still finds what the job was promised.
    assert (cache.get(xf_platform.server, xf_platform.files, first) / "main.py").read_text() == "print(1)\n"
    assert first.metadata[PACKAGE]["sha256"] != done.record.metadata[PACKAGE]["sha256"]
    assert not check_in(xf_platform.server, xf_platform.files, folder, replace=True).is_replaced


class Full:
    """A file store whose disk is full."""

    def upload(self, *_, **__):
        raise NotEnoughSpace("the disk is full")


def test_a_package_is_obsolete_until_its_files_are_stored(folder, xf_platform):
    with pytest.raises(NotEnoughSpace):
        check_in(xf_platform.server, Full(), folder)
    [begun] = xf_platform.server.find(TaskType, {"name": METADATA["name"]})
    assert begun.obsolete
    done = check_in(xf_platform.server, xf_platform.files, folder).record
    assert (done.serial, done.obsolete) == (begun.serial, False)


def test_a_replacement_whose_files_were_not_stored_leaves_the_package_as_it_was(folder, tmp_path, xf_platform):
    first = check_in(xf_platform.server, xf_platform.files, folder).record
    write(folder, "print(2)\n", "m")
    with pytest.raises(NotEnoughSpace):
        check_in(xf_platform.server, Full(), folder, replace=True)
    present = xf_platform.server.get(TaskType, first.serial)
    assert present == first
    kept = PackageCache(tmp_path / "cache").get(xf_platform.server, xf_platform.files, present)
    assert (kept / "main.py").read_text() == "print(1)\n"


@define
class Meanwhile:
    """A file store where somebody else does something before the first file is stored."""

    files: FileStore
    happening: list

    def upload(self, *arguments, **options):
        while self.happening:
            self.happening.pop()()
        return self.files.upload(*arguments, **options)


def test_a_replacement_undoes_no_change_that_somebody_made_meanwhile(folder, xf_platform):
    server, first = xf_platform.server, check_in(xf_platform.server, xf_platform.files, folder).record
    write(folder, "print(2)\n", "m")
    change = Change(values={"/metadata/reviewed": True})
    files = Meanwhile(xf_platform.files, [lambda: server.update(TaskType, first.serial, change)])
    with pytest.raises(RecordConflict):
        check_in(server, files, folder, replace=True)
    present = server.get(TaskType, first.serial).metadata
    assert (present["reviewed"], present[PACKAGE]) == (True, first.metadata[PACKAGE])
