"""Packages whose records are damaged or hostile: refused with their reason; nothing is written outside the cache."""

import os
import sys
import time
import zipfile
from pathlib import Path

import pytest
from attrs import define

from xfworker.api.composition.package_source import PackageSource
from xfworker.domain.errors import FileError, JobError, PackageError
from xfworker.domain.records import DependencyPackage, TaskType
from xfworker.services.packages.cache import PackageCache
from xfworker.services.packages.checkin import file_sha256
from xfworker.services.packages.manifest import is_whole
from xfworker.services.packages.requirements import ordered_packages

DIGEST = "0" * 64


@define
class Copies:
    """A server and file store that give one archive."""

    archive: Path

    def file_token(self, _scopes):
        return None

    def download(self, _token, _resource, target):
        target.write_bytes(self.archive.read_bytes())


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "package.xfp"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("metadata.json", "{}")
    return path


def task_type(archive=None, *, name="Lab.Measure", **package):
    digest = file_sha256(archive) if archive else DIGEST
    described = {"archive": "a.xfp", "sha256": digest, "complete": True, "script": "main.py", **package}
    return TaskType(serial=5, name=name, version="1.0.0.0", metadata={"package": described})


def get(tmp_path, record, archive=None):
    copies = Copies(archive)
    return PackageCache(tmp_path / "cache" / "packages").get(copies, copies, record)


def test_a_sound_package_is_unpacked_in_the_cache(tmp_path, archive):
    folder = get(tmp_path, task_type(archive), archive)
    assert folder.parent == tmp_path / "cache" / "packages"
    assert (folder / "metadata.json").is_file()


def test_what_was_left_of_packages_that_were_not_unpacked_is_removed_after_a_week(tmp_path, archive):
    cache, week = tmp_path / "cache" / "packages", 7 * 24 * 3600
    ages = {
        ".incoming-old": week + 60,
        ".damaged-old": week + 60,
        ".incoming-new": week - 60,
        ".damaged-new": week - 60,
    }
    ages["Lab.Other-1.0.0.0-0000000000000000"] = 2 * week
    for name, age in ages.items():
        (cache / name).mkdir(parents=True)
        os.utime(cache / name, (time.time() - age,) * 2)
    folder = get(tmp_path, task_type(archive), archive)
    left = {path.name for path in cache.iterdir()}
    assert left == {folder.name, ".incoming-new", ".damaged-new", "Lab.Other-1.0.0.0-0000000000000000"}


@pytest.mark.parametrize("name", ["../../esc", "/abs", "a/b", "a\\b", "C:x", "a\x00b"])
def test_a_name_does_not_lead_out_of_the_cache(tmp_path, archive, name):
    before = set(tmp_path.rglob("*"))
    with pytest.raises(PackageError, match="name and version of task type 5"):
        get(tmp_path, task_type(archive, name=name), archive)
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("digest", [None, 5, "", "../../../../esc", DIGEST.upper() + "X", ["0"]])
def test_a_package_without_its_digest_is_refused(tmp_path, digest):
    with pytest.raises(PackageError, match="SHA-256"):
        get(tmp_path, task_type(sha256=digest))


def test_an_archive_that_is_another_one_is_refused(tmp_path, archive):
    with pytest.raises(PackageError, match="not what was checked in"):
        get(tmp_path, task_type(), archive)


@pytest.mark.parametrize("dependencies", [["x"], "x", {"name": "a"}, [{}], [{"name": "a"}], [None], 5])
def test_dependencies_that_are_not_packages_are_refused_with_their_owner(dependencies):
    with pytest.raises(JobError, match="dependencies of the task type"):
        ordered_packages(dependencies, lambda _name, _version: None)
    bad = DependencyPackage(name="Core.A", version="1.0.0.0", dependencies=dependencies)
    with pytest.raises(JobError, match=r"dependencies of the dependency package Core\.A"):
        ordered_packages([{"name": "Core.A", "version": "1.0.0.0"}], lambda _name, _version: bad)


@pytest.mark.parametrize("script", ["../../evil.py", "/tmp/evil.py", "a/../../evil.py", ""])
def test_a_script_lies_in_its_package(tmp_path, archive, script):
    copies = Copies(archive)
    record = task_type(archive, script=script)
    source = PackageSource(
        server=copies,
        files=copies,
        cache=PackageCache(tmp_path / "cache"),
        environments=None,
        variables={},
        settings={},
    )
    with pytest.raises(FileError, match="the script of task type 5"):
        source.prepare(type("Lease", (), {"task_type": record})())


class OneEnvironment:
    """Environments that are all the same."""

    python, variables = Path("python"), {}

    def get(self, installations, report):
        return self


def test_what_a_package_declares_are_the_limits_of_its_script(tmp_path, archive):
    copies = Copies(archive)
    record = task_type(
        archive, script="main.py", metadata={"resources": {"cores": 3, "memory_mib": 2}, "limits": {"time_seconds": 60}}
    )
    source = PackageSource(
        server=copies,
        files=copies,
        cache=PackageCache(tmp_path / "cache"),
        environments=OneEnvironment(),
        variables={},
        settings={},
    )
    prepared = source.prepare(type("Lease", (), {"task_type": record})())
    assert (prepared.cores, prepared.memory_limit_bytes, prepared.time_limit_seconds) == (3, 2 << 20, 60)


def writable(folder):
    return [path for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o222]


@pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX")
def test_a_package_in_the_cache_is_read_only(tmp_path, archive):
    assert writable(get(tmp_path, task_type(archive), archive)) == []


@pytest.mark.parametrize("damage", ["lost", "changed", "added"])
def test_a_package_that_was_damaged_in_the_cache_is_fetched_again(tmp_path, archive, damage):
    record = task_type(archive)
    folder = get(tmp_path, record, archive)
    folder.chmod(0o755)
    file = folder / "metadata.json"
    if damage == "added":
        (folder / "numpy.py").write_text("raise SystemExit")
    else:
        file.chmod(0o644)
        file.unlink()
    if damage == "changed":
        file.write_text("[]")
    assert get(tmp_path, record, archive) == folder
    assert file.read_text() == "{}"
    assert not (folder / "numpy.py").exists()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_sound_package_is_fetched_once(tmp_path, archive):
    record = task_type(archive)
    folder = get(tmp_path, record, archive)
    (folder / "__pycache__").mkdir() if os.access(folder, os.W_OK) else None
    archive.unlink()
    assert get(tmp_path, record, archive) == folder


def test_a_package_appears_under_its_name_when_it_is_whole(tmp_path, archive, monkeypatch):
    # Another process would take it for a damaged one, and move it away.
    record, rename, seen = task_type(archive), os.rename, []

    def looking(source, target):
        rename(source, target)
        if Path(target).name.startswith(record.name):
            seen.append(is_whole(Path(target)))

    monkeypatch.setattr(os, "rename", looking)
    get(tmp_path, record, archive)
    assert seen == [True]
