"""Small files of the product's own: there whole or not at all, and for their owner only."""

import os
import stat

import pytest

from xfworker.adapters.transfer import partial_file
from xfworker.adapters.transfer.partial_file import replace_text


def test_a_text_takes_the_place_of_an_earlier_one_and_is_for_its_owner_only(tmp_path):
    target = tmp_path / "info.json"
    replace_text(target, "first, and longer")
    replace_text(target, "second \xe4")
    assert target.read_text("utf-8") == "second \xe4"
    assert list(tmp_path.iterdir()) == [target]
    if os.name != "nt":
        assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_what_cannot_be_put_in_place_leaves_the_earlier_one_and_nothing_beside_it(tmp_path, monkeypatch):
    target = tmp_path / "info.json"
    replace_text(target, "first")

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(partial_file, "rename", refuse)
    with pytest.raises(PermissionError):
        replace_text(target, "second")
    assert target.read_text("utf-8") == "first"
    assert list(tmp_path.iterdir()) == [target]
