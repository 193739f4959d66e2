"""Where packages and environments are on Linux."""

import sys
from pathlib import Path

import pytest

from xfworker.api.composition.cache_folder import cache_folder
from xfworker.domain.errors import UsageError


@pytest.fixture(autouse=True)
def linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.mark.parametrize("chosen", ["", "caches", "./caches"])
def test_a_folder_that_depends_on_where_one_stands_is_not_taken(chosen):
    assert cache_folder({"HOME": "/home/lab", "XDG_CACHE_HOME": chosen}) == Path("/home/lab/.cache/xfworker")
    with pytest.raises(UsageError, match="HOME is not set"):
        cache_folder({"XDG_CACHE_HOME": chosen})


def test_the_chosen_folder_is_taken():
    assert cache_folder({"HOME": "/home/lab", "XDG_CACHE_HOME": "/var/cache/lab"}) == Path("/var/cache/lab/xfworker")
