"""Names from outside: one plain segment that means the same on every system, or a refusal that says why."""

import pytest

from xfworker.domain.errors import InvalidFilename
from xfworker.domain.filenames import check_filename, filename_violation, is_safe_filename

DEVICES = ["con", "prn", "aux", "nul", "conin$", "conout$", *(f"{port}{n}" for port in ("com", "lpt") for n in "09¹³")]


@pytest.mark.parametrize(
    ("name", "violation"),
    [
        (7, "is not a string"),
        ("", "is empty"),
        (".", "is a folder, not a file"),
        ("..", "is a folder, not a file"),
        ("a.", "ends with a dot or a space, which Windows drops"),
        ("a ", "ends with a dot or a space, which Windows drops"),
        ("a\x1f", "holds a control character"),
        ("a\x7f", "holds a control character"),
        *((f"a{sign}b", f"holds {sign!r}") for sign in '/\\:*?"<>|'),
        ("\ud800", "is not valid Unicode"),
        ("ä" * 128, "is 256 bytes long; 255 is the most"),
        *((name, "is a device name on Windows") for name in DEVICES),
        ("COM1.tar.gz", "is a device name on Windows"),
        ("nul .txt", "is a device name on Windows"),
    ],
)
def test_a_name_that_means_something_else_somewhere_is_refused_and_why(name, violation):
    assert filename_violation(name) == violation
    assert not is_safe_filename(name)
    with pytest.raises(InvalidFilename, match=r"^file name .* use one plain name such as 'scan_seg\.omni'$") as caught:
        check_filename(name)
    assert f" {violation}; use" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["scan.omni", ".hidden", "a b", "XXa", "con1", "nulX", "com", "comX", "com10", "x.con", "ä" * 127 + "a", "\x20a"],
)
def test_a_plain_name_is_given_back(name):
    assert check_filename(name) == name
    assert is_safe_filename(name)


@pytest.mark.parametrize(("length", "shown"), [(77, "'" + "a" * 77 + "/'"), (78, "'" + "a" * 76 + "...")])
def test_a_long_name_is_cut_in_messages(length, shown):
    with pytest.raises(InvalidFilename) as caught:
        check_filename("a" * length + "/", what="path segment")
    assert str(caught.value).startswith(f"path segment {shown} holds '/'; ")
