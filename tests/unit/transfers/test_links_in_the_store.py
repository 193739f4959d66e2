"""Links that somebody planted in a store's folder: names are what rights are about, so none stands for another."""

import os

import pytest

from tests.symbolic_links import needs_symbolic_links
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.domain.errors import FileError
from xfworker.domain.files import VERBS, AuthorizationToken, Scope, parse_resource

OWN = parse_resource("job_result/1")
TOKEN = AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, OWN) for verb in VERBS))


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "store"
    for name in ("job_result/1/own.bin", "job_result/2/secret.bin"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(b"content of " + name.encode())
    (tmp_path / "outside.bin").write_bytes(b"outside")
    return root


@needs_symbolic_links
@pytest.mark.parametrize(
    ("link", "target", "asked"),
    [
        ("job_result/1/link.bin", "../2/secret.bin", "job_result/1/link.bin"),
        ("job_result/1/link.bin", "own.bin", "job_result/1/link.bin"),
        ("job_result/1/link.bin", "../../../outside.bin", "job_result/1/link.bin"),
        ("job_result/1/folder", "../2", "job_result/1/folder/secret.bin"),
        ("job_result/1/dangling.bin", "nothing.bin", "job_result/1/dangling.bin"),
    ],
)
def test_a_link_is_neither_read_nor_written_through(root, tmp_path, link, target, asked):
    (root / link).symlink_to(target)
    store, place = FolderFileStore(root, direct_access_root=str(root), direct_writes=True), parse_resource(asked)
    source = tmp_path / "source.bin"
    source.write_bytes(b"new")
    asks = [
        lambda: store.stat(TOKEN, place),
        lambda: store.open_file(TOKEN, place),
        lambda: list(store.open_read(TOKEN, place)),
        lambda: store.download(TOKEN, place, tmp_path / "copy.bin"),
        lambda: store.upload(TOKEN, source, place),
        lambda: store.delete(TOKEN, place),
        lambda: store.direct_access_path(TOKEN, place),
        lambda: store.register(TOKEN, place, size=1, sha256="0" * 64),
    ]
    for ask in asks:
        with pytest.raises(FileError, match="link"):
            ask()
    assert (root / "job_result/2/secret.bin").read_bytes() == b"content of job_result/2/secret.bin"
    assert [stat.resource.filename for stat in store.list(TOKEN, OWN).files] == ["own.bin"]
    assert store.list(TOKEN, OWN).folders == ()


@needs_symbolic_links
def test_a_store_whose_own_folder_is_a_link_works(root, tmp_path):
    (tmp_path / "alias").symlink_to(root)
    store = FolderFileStore(tmp_path / "alias")
    assert b"".join(store.open_read(TOKEN, OWN.child("own.bin"))) == b"content of job_result/1/own.bin"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_in_the_store_is_not_a_file(root):
    os.mkfifo(root / "job_result/1/pipe")
    store = FolderFileStore(root)
    with pytest.raises(FileError):
        store.stat(TOKEN, OWN.child("pipe"))
    assert [stat.resource.filename for stat in store.list(TOKEN, OWN).files] == ["own.bin"]
