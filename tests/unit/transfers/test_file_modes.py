"""What a store makes has modes by one rule, whatever the umask is."""

import asyncio
import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from tests.unit.platform.test_file_rights import Lab, put, tus
from xfworker.adapters.disk.file_modes import GroupAccess
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.partial_uploads import PartialUploads
from xfworker.adapters.sql.engine import open_engine, sqlite_url
from xfworker.adapters.sql.export import export_to_folder
from xfworker.adapters.sql.schema import upgrade
from xfworker.adapters.web.fss.service import FileStorageService
from xfworker.api.composition.backups import make_backup, restore_backup
from xfworker.api.composition.platform import PlatformStorage, opened_platform
from xfworker.domain.files import VERBS, AuthorizationToken, Scope, parse_resource

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="rights are inherited there")

PLACE = parse_resource("userdata/scans/a.bin")
TOKEN = AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, PLACE) for verb in VERBS))
MODES = {GroupAccess.NONE: (0o600, 0o700), GroupAccess.READ: (0o640, 0o750), GroupAccess.WRITE: (0o660, 0o770)}


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def upload(store, folder):
    source = folder / "source.bin"
    source.write_bytes(b"x")
    source.chmod(0o644)
    store.upload(TOKEN, source, PLACE)


def by_put(store, folder):
    _over_http(store, folder, put)


def by_tus(store, folder):
    _over_http(store, folder, tus)


def _over_http(store, folder, way):
    lab = Lab.at(folder / "other")
    lab.service = FileStorageService(store, PartialUploads(store), lab.platform)
    token = lab.server().file_token([Scope("write", PLACE)])
    assert asyncio.run(way(lab, token, PLACE, b"a few bytes", None)).status < 300


@pytest.mark.parametrize("way", [upload, by_put, by_tus])
def test_nothing_that_a_store_keeps_is_open_to_others_even_while_it_arrives(tmp_path, umask, way, monkeypatch):
    tmp_path.chmod(0o700)
    root = tmp_path / "store"
    seen = {}
    replace = Path.replace

    def noting(path, target):
        seen[path.name] = mode(path)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", noting)
    # Where a disk keeps no attributes, digests are files of their own.
    monkeypatch.setattr(os, "setxattr", _refuse, raising=False)
    store = FolderFileStore(root)
    assert store.identity
    way(store, tmp_path)
    seen |= {str(path): mode(path) for path in root.rglob("*")}
    assert {name: oct(mode) for name, mode in seen.items() if mode & 0o077} == {}
    assert len(seen) > 5


def _refuse(*_):
    raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))


@pytest.mark.parametrize("group", list(GroupAccess))
@pytest.mark.parametrize("way", [upload, by_put, by_tus])
def test_stored_files_have_one_mode_however_they_came(tmp_path, umask, way, group):
    tmp_path.chmod(0o700)
    root = tmp_path / "store"
    way(FolderFileStore(root, group_access=group), tmp_path)
    file, folder = MODES[group]
    assert mode(root / str(PLACE)) == file
    assert {mode(root), mode(root / "userdata"), mode(root / "userdata" / "scans")} == {folder}


def test_folders_that_are_there_keep_their_modes_and_new_ones_their_group(tmp_path):
    root = tmp_path / "store"
    root.mkdir()
    root.chmod(0o2775)
    store = FolderFileStore(root, group_access=GroupAccess.READ)
    upload(store, tmp_path)
    assert mode(root) == 0o2775
    if sys.platform == "linux":
        assert mode(root / "userdata") == 0o2750


def test_a_backup_before_an_upgrade_is_for_its_owner_only(tmp_path, umask):
    tmp_path.chmod(0o700)
    engine = open_engine(sqlite_url(tmp_path / "records.sqlite"))
    upgrade(engine, lambda _: tmp_path)
    backup = export_to_folder(engine, tmp_path / "backups", "schema-0001")
    engine.dispose()
    assert mode(backup) == 0o600
    assert mode(tmp_path / "records.sqlite") == 0o600


def test_a_backup_that_others_could_read_is_restored_for_its_owner_and_group_only(tmp_path, umask):
    tmp_path.chmod(0o700)
    old, new = PlatformStorage(data=tmp_path / "old"), PlatformStorage(data=tmp_path / "new")
    with opened_platform(old):
        upload(FolderFileStore(old.files_path, group_access=GroupAccess.READ), tmp_path)
    make_backup(old, tmp_path / "backup")
    assert mode(tmp_path / "backup") == 0o700
    assert [
        path
        for path in (tmp_path / "backup").rglob("*")
        if path.parts[-3:-1] != PLACE.segments[-3:-1] and mode(path) & 0o077
    ] == []
    for path in (tmp_path / "backup").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    restore_backup(new, tmp_path / "backup")
    assert mode(new.data) == 0o700
    assert mode(new.secret_path) == 0o600
    assert mode(new.data / "records.sqlite") == 0o600
    assert mode(new.files_path / str(PLACE)) == 0o640
    assert mode((new.files_path / str(PLACE)).parent) == 0o750
