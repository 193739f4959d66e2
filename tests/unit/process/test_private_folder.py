"""Folders from which code is run belong to one user, and nobody else puts anything into them."""

import os
import sys

import pytest

from xfworker.adapters.process.private_folder import private_folder
from xfworker.domain.errors import ConfigurationError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="rights of folders are others there")


@pytest.mark.parametrize(("mode", "is_taken"), [(0o700, True), (0o755, True), (0o770, False), (0o702, False)])
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path, mode, is_taken):
    folder = tmp_path / "packages"
    folder.mkdir()
    folder.chmod(mode)
    if is_taken:
        assert private_folder(folder) == folder
        return
    with pytest.raises(ConfigurationError, match=rf"can be written to by other users \(mode {mode:o}\)"):
        private_folder(folder)


@pytest.fixture
def of_another(monkeypatch):
    """Gives a file, folder or link to another user, as far as this one may."""

    def given(path):
        if os.geteuid() == 0:
            os.chown(path, 65534, -1, follow_symlinks=False)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: 65534)

    return given


def test_a_folder_of_another_user_is_not_used(tmp_path, of_another):
    of_another(private_folder(tmp_path / "packages"))
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        private_folder(tmp_path / "packages")


def test_a_link_of_another_user_is_not_followed(tmp_path, of_another):
    (tmp_path / "link").symlink_to(private_folder(tmp_path / "packages"))
    of_another(tmp_path / "link")
    with pytest.raises(ConfigurationError, match="another user's link"):
        private_folder(tmp_path / "link")


def test_a_folder_that_is_made_is_for_its_user_alone_and_one_behind_an_own_link_is_judged_itself(tmp_path):
    made = private_folder(tmp_path / "below" / "packages")
    assert made.stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(made)
    assert private_folder(tmp_path / "link") == tmp_path / "link"
    made.chmod(0o777)
    with pytest.raises(ConfigurationError, match="can be written to by other users"):
        private_folder(tmp_path / "link")
