"""Where a user's settings, packages and environments are on Windows."""

import sys
from pathlib import Path

import pytest

from xfworker.api.composition.cache_folder import cache_folder
from xfworker.api.settings.file import config_folder
from xfworker.domain.errors import UsageError

VARIABLES = {"HOME": "/home/lab", "LOCALAPPDATA": "/users/lab/local", "APPDATA": "/users/lab/roaming"}


@pytest.fixture(autouse=True)
def windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")


def test_packages_are_this_computers_and_settings_the_persons():
    assert cache_folder(VARIABLES) == Path("/users/lab/local/xfworker")
    assert config_folder(VARIABLES) == Path("/users/lab/roaming/xfworker")


def test_a_user_without_a_profile_is_asked_for_a_folder():
    with pytest.raises(UsageError, match="LOCALAPPDATA is not set"):
        cache_folder({"HOME": "/home/lab"})
