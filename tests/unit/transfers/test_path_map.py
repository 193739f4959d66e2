import sys
from pathlib import Path

import pytest

from xfworker.adapters.disk.path_map import PathMap, is_unc_path
from xfworker.domain.errors import ConfigurationError, FileError

MAP = PathMap(
    {
        r"\\server\share": "/mnt/share",
        r"\\server\share\Archive": "/mnt/archive",
        "X:\\data": "/mnt/x",
        "/srv/files": "/mnt/files",
    }
)


@pytest.mark.parametrize(
    ("path", "local"),
    [
        (r"\\server\share\job_result\17\a.raw", "/mnt/share/job_result/17/a.raw"),
        (r"\\SERVER\Share\Job_Result\17\A.raw", "/mnt/share/Job_Result/17/A.raw"),
        ("//server/share/a.raw", "/mnt/share/a.raw"),
        (r"\\?\UNC\server\share\a.raw", "/mnt/share/a.raw"),
        (r"\\server\share\archive\a.raw", "/mnt/archive/a.raw"),
        (r"\\server\share", "/mnt/share"),
        (r"\\server\shared\a.raw", r"\\server\shared\a.raw"),
        (r"x:\DATA\a.raw", "/mnt/x/a.raw"),
        (r"\\?\X:\data\a.raw", "/mnt/x/a.raw"),
        ("//?/UNC/server/share/a.raw", "/mnt/share/a.raw"),
        (r"\\.\server\share\a.raw", r"\\.\server\share\a.raw"),
        ("/srv/files/a.raw", "/mnt/files/a.raw"),
        ("/SRV/files/a.raw", "/SRV/files/a.raw"),
        ("/srv/files2/a.raw", "/srv/files2/a.raw"),
    ],
)
def test_the_longest_prefix_wins_by_whole_segments(path, local):
    assert MAP.local_path(path) == Path(local)


@pytest.mark.parametrize("path", [r"\\server\share\..\secret", "/srv/files/../../etc/passwd", "/srv/files/a\0b"])
def test_paths_that_climb_are_refused(path):
    with pytest.raises(FileError):
        MAP.local_path(path)


def test_a_relative_prefix_is_refused():
    with pytest.raises(ConfigurationError, match="relative/folder"):
        PathMap({"relative/folder": "/mnt"})


def test_unc_paths_are_known_by_their_form():
    assert is_unc_path(r"\\server\share")
    assert is_unc_path("//server/share")
    assert is_unc_path(r"\\?\UNC\server\share")
    assert not is_unc_path("/mnt/share")
    assert not is_unc_path(r"C:\share")
    assert not is_unc_path(r"\\?\C:\share")
    assert not is_unc_path(r"\\")


@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere it is a name like any other")
def test_a_mapped_drive_needs_no_slash_behind_it():
    drive = PathMap({r"\\server\share": "X:", r"\\server\scans": "Y:mice"})
    assert drive.local_path(r"\\server\share\job_result\17\a.raw") == Path("X:\\job_result\\17\\a.raw")
    assert drive.local_path(r"\\SERVER\scans\a.raw") == Path("Y:\\mice\\a.raw")
