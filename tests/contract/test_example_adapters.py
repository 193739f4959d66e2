"""The adapters that the documentation walks through, against the published suites."""

import importlib.util
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from xfworker.domain.errors import FileError, FileNotInStore, NotEnoughSpace, ServerUnreachable
from xfworker.domain.files import VERBS, AuthorizationToken, Scope, parse_resource
from xfworker.testing.contracts.file_store import FileStoreContract

fsspec = pytest.importorskip("fsspec", reason="the example stores files by fsspec")

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "adapters" / "smb_files"
PLACE = parse_resource("userdata/a.raw")
TOKEN = AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, parse_resource("userdata")) for verb in VERBS))


@pytest.fixture(scope="module")
def lab_smb():
    specification = importlib.util.spec_from_file_location("lab_smb", FOLDER / "lab_smb.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules["lab_smb"] = module
    specification.loader.exec_module(module)
    yield module
    del sys.modules["lab_smb"]


class TestFsspecFiles(FileStoreContract):
    @pytest.fixture
    def store(self, lab_smb, tmp_path_factory):
        return lab_smb.FsspecFiles(fsspec.filesystem("local"), str(tmp_path_factory.mktemp("share")))


def test_the_example_takes_less_than_a_page():
    assert len((FOLDER / "lab_smb.py").read_text().splitlines()) < 60


@pytest.mark.parametrize("name", ["lab_smb.py", "pyproject.toml", "test_lab_smb.py"])
def test_the_page_shows_the_example_as_it_is(name):
    page = (FOLDER.parents[2] / "docs" / "adapters.md").read_text("utf-8")
    assert (FOLDER / name).read_text("utf-8") in page


def test_the_example_is_registered_as_the_settings_name_it(lab_smb):
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    entries = project["entry-points"]["xfworker.adapters"]
    found = EntryPoint("files.smb", entries["files.smb"], "xfworker.adapters")
    assert found.load() is lab_smb.open_smb


@pytest.fixture
def broken(lab_smb, tmp_path):
    def make(error):
        class Broken(lab_smb.FsspecFiles):
            def write(self, path, blocks):
                for _ in blocks:
                    raise error

            def look(self, path):
                if "unseen" in path:
                    raise error
                return super().look(path)

        return Broken(fsspec.filesystem("local"), str(tmp_path))

    return make


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (OSError(28, "No space left on device"), NotEnoughSpace),
        (ConnectionResetError("reset by peer"), ServerUnreachable),
        (TimeoutError("timed out"), ServerUnreachable),
        (PermissionError(13, "Permission denied"), FileError),
        (FileNotFoundError(2, "No such share"), FileNotInStore),
    ],
)
def test_what_the_share_says_becomes_an_error_of_ours(broken, tmp_path, error, ours):
    store, source = broken(error), tmp_path / "source"
    source.write_bytes(b"x")
    with pytest.raises(ours) as caught:
        store.upload(TOKEN, source, PLACE)
    assert type(caught.value) is ours
    with pytest.raises(ours):
        store.stat(TOKEN, parse_resource("userdata/unseen"))


def test_a_file_that_somebody_else_changed_is_read_again(lab_smb, tmp_path):
    store = lab_smb.FsspecFiles(fsspec.filesystem("local"), str(tmp_path))
    (tmp_path / "userdata").mkdir()
    path = tmp_path / "userdata" / "a.raw"
    path.write_bytes(b"one")
    first = store.stat(TOKEN, PLACE)
    path.write_bytes(b"another")
    second = store.stat(TOKEN, PLACE)
    assert (first.size, second.size) == (3, 7)
    assert first.sha256 != second.sha256


def test_what_was_written_elsewhere_is_made_known_only_when_it_is_right(lab_smb, tmp_path):
    import hashlib

    from xfworker.domain.errors import ChecksumMismatch

    store = lab_smb.FsspecFiles(fsspec.filesystem("local"), str(tmp_path))
    (tmp_path / "userdata").mkdir()
    (tmp_path / "userdata" / "a.raw").write_bytes(b"one")
    digest = hashlib.sha256(b"one").hexdigest()
    assert store.register(TOKEN, PLACE, size=3, sha256=digest).sha256 == digest
    with pytest.raises(ChecksumMismatch):
        store.register(TOKEN, PLACE, size=3, sha256="0" * 64)
