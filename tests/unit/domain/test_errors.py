"""Errors travel as the protocol says: with its status under its code, and with what their message does not carry."""

import re
from pathlib import Path, PurePath

from xfworker.domain import errors
from xfworker.domain.errors import (
    ImageFormatError,
    InvalidContent,
    RecordConflict,
    ServerBusy,
    ServerTimeout,
    TooManyRequests,
    XFWorkerError,
    all_errors,
)

_PROTOCOL = Path(__file__).resolve().parents[3] / "docs" / "protocol.md"


def _own_errors(kind=XFWorkerError):
    if kind.__module__ == errors.__name__:
        yield kind
    for child in kind.__subclasses__():
        yield from _own_errors(child)


def test_each_error_has_the_code_and_the_status_of_the_protocol():
    section = _PROTOCOL.read_text(encoding="utf-8").partition("\n## Errors\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d[\d, ]*) \| (.*?) \|", section, re.MULTILINE)
    documented = {
        (code, int(status)) for numbers, codes in rows for status in numbers.split(",")
        for code in re.findall(r"`([a-z-]+)`", codes)
    }  # fmt: skip
    assert {(kind.code, kind.status) for kind in _own_errors()} == documented


def test_a_code_stands_for_the_widest_error_that_has_it():
    assert {kind.code for kind in _own_errors()} <= all_errors().keys()
    assert all(kind.code == code for code, kind in all_errors().items())
    assert (all_errors()["server-busy"], all_errors()["server-timeout"]) == (ServerBusy, ServerTimeout)


def test_errors_carry_what_their_reader_can_go_on_with():
    assert XFWorkerError("m").details() == {}
    content = InvalidContent("m", ["a: is missing"])
    assert (str(content), content.faults, content.details()) == ("m", ("a: is missing",), {"faults": ["a: is missing"]})
    assert InvalidContent("m").details() == {"faults": []}
    conflict = RecordConflict("m", current={"serial": 1}, attempted={"name": "a"})
    assert (str(conflict), conflict.current, conflict.attempted) == ("m", {"serial": 1}, {"name": "a"})
    assert conflict.details() == {"current": {"serial": 1}}
    assert RecordConflict("m", current={}).attempted == {}
    busy = TooManyRequests("m", retry_after_seconds=2.5)
    assert (str(busy), busy.retry_after_seconds, ServerBusy("m").retry_after_seconds) == ("m", 2.5, None)


def test_the_error_of_an_image_names_the_place_in_its_file():
    error = ImageFormatError("is 0", path="a.isq", offset=0, field="dim_x")
    assert (error.path, error.offset, error.field) == (PurePath("a.isq"), 0, "dim_x")
    assert str(error) == "a.isq: dim_x (byte 0): is 0"
    assert str(ImageFormatError("is short", path="a.isq", offset=512)) == "a.isq (byte 512): is short"
    assert str(ImageFormatError("is short", path="a.isq")) == "a.isq: is short"
