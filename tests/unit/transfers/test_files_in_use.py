"""Files that Windows does not let go of, as it reports them: the same errors, raised here by a file that is played."""

import sys

import pytest

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.transfer import partial_file
from xfworker.adapters.transfer.os_errors import disk_error
from xfworker.domain.errors import FileError
from xfworker.services import files_in_use
from xfworker.services.files_in_use import when_free

SHARING_VIOLATION, USER_MAPPED_FILE, PATH_NOT_FOUND = 32, 1224, 3


def windows_error(number, path="C:\\scans\\a.raw", kind=PermissionError):
    error = kind(13, "The process cannot access the file because it is being used by another process", path)
    error.winerror = number
    return error


@pytest.fixture
def pauses(monkeypatch):
    passed = []
    monkeypatch.setattr(files_in_use.time, "sleep", passed.append)
    return passed


def held_for(times, number):
    left = [times]

    def action():
        if left[0]:
            left[0] -= 1
            raise windows_error(number, kind=OSError)
        return "done"

    return action


@pytest.mark.parametrize("number", [5, SHARING_VIOLATION, 33, 145, USER_MAPPED_FILE])
def test_what_is_open_for_a_moment_is_waited_for(pauses, number):
    assert when_free(held_for(3, number)) == "done"
    assert len(pauses) == 3


def test_what_stays_open_is_an_error_after_a_few_seconds(pauses):
    with pytest.raises(OSError, match="used by another process"):
        when_free(held_for(100, SHARING_VIOLATION))
    assert sum(pauses) == pytest.approx(4.0)


def test_an_error_of_another_kind_is_not_waited_for(pauses):
    with pytest.raises(OSError, match="used by"):
        when_free(held_for(1, PATH_NOT_FOUND))
    assert pauses == []


def test_the_message_says_that_a_program_has_the_file_open():
    message = str(disk_error("replace a.raw", windows_error(SHARING_VIOLATION)))
    assert "it open, this one perhaps: close what was read from it" in message


def test_the_message_says_that_a_path_is_too_long_for_windows():
    path = "C:\\" + "\\".join(["folder" * 8] * 6) + "\\a.raw"
    message = str(disk_error("store a.raw", windows_error(PATH_NOT_FOUND, path, FileNotFoundError)))
    assert "Windows takes 259" in message
    assert "LongPathsEnabled" in message
    short = str(disk_error("store a.raw", windows_error(PATH_NOT_FOUND, kind=FileNotFoundError)))
    assert "LongPathsEnabled" not in short


@pytest.mark.parametrize("name", ["aux.txt", "log:1.txt", "trailing."])
@pytest.mark.skipif(sys.platform == "win32", reason="tests/windows does this there")
def test_a_name_that_windows_does_not_keep_is_refused_there_only(tmp_path, monkeypatch, name):
    (tmp_path / "a").write_bytes(b"1")
    LocalFilesystem().copy(tmp_path / "a", tmp_path / name)
    monkeypatch.setattr(partial_file.sys, "platform", "win32")
    with pytest.raises(OSError, match="its name"):
        partial_file.require_usable_name(tmp_path / name)
    partial_file.require_usable_name(tmp_path / "a")


def test_a_directory_with_an_open_file_loses_all_else(tmp_path, pauses, monkeypatch):
    from xfworker.adapters.disk import filesystem

    directory = tmp_path / "job"
    (directory / "deep").mkdir(parents=True)
    for name in ("a.raw", "mapped.raw", "z.raw"):
        (directory / "deep" / name).write_bytes(b"x")
    unlink = filesystem.os.unlink

    def refuse(path, *arguments, **options):
        if str(path).endswith("mapped.raw"):
            raise windows_error(USER_MAPPED_FILE, str(path), OSError)
        unlink(path, *arguments, **options)

    monkeypatch.setattr(filesystem.os, "unlink", refuse)
    with monkeypatch.context() as context:
        # As Windows reports a folder in which something is left.
        rmdir = filesystem.os.rmdir

        def refuse_folder(path, *arguments, **options):
            try:
                rmdir(path, *arguments, **options)
            except OSError as error:
                error.winerror = 145
                raise

        context.setattr(filesystem.os, "rmdir", refuse_folder)
        with pytest.raises(FileError, match="mapped"):
            LocalFilesystem().remove_tree(directory)
    assert [path.name for path in directory.rglob("*.raw")] == ["mapped.raw"]
