"""Packages on their way to a server."""

import json

import pytest

from xfworker.api.cli.package_folder import package_folder
from xfworker.api.composition.target import load_target
from xfworker.domain.errors import PackageError
from xfworker.domain.package import PACKAGE
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
