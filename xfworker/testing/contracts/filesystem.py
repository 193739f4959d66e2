"""What every local filesystem must do, as tests to inherit."""

import os
import sys
from pathlib import Path

import pytest

from xfworker.domain.errors import FileError
from xfworker.domain.files import FileStat, parse_resource
from xfworker.ports.filesystem import Filesystem


class FilesystemContract:
    """
    Inherit it, give the fixture, and pytest runs every test against your filesystem.

    Fixture to give:
        ``filesystem``: a :class:`~xfworker.ports.filesystem.Filesystem` whose temporary folder can be written to.
    """

    @pytest.fixture
    def filesystem(self) -> Filesystem:
        raise NotImplementedError("give a filesystem")

    def test_working_directories_are_new_empty_and_private(self, filesystem: Filesystem) -> None:
        first, second = filesystem.make_working_directory("xfjob-17-"), filesystem.make_working_directory("xfjob-17-")
        try:
            assert first != second
            assert first.name.startswith("xfjob-17-")
            assert first.is_absolute()
            assert list(first.iterdir()) == []
            if sys.platform != "win32":
                assert first.stat().st_mode & 0o777 == 0o700
        finally:
            filesystem.remove_tree(first)
            filesystem.remove_tree(second)
        assert not first.exists()

    def test_unique_paths_are_given_once(self, filesystem: Filesystem, tmp_path: Path) -> None:
        (tmp_path / "scan.nii.gz").write_bytes(b"")
        unique = [filesystem.unique_path(tmp_path / "scan.nii.gz") for _ in range(3)]
        assert len({path.name.lower() for path in unique}) == 3
        assert all(not path.exists() and path.name.startswith("scan") and path.suffix == ".gz" for path in unique)
        assert filesystem.unique_path(tmp_path / "other.raw") == tmp_path / "other.raw"

    def test_a_unique_name_is_never_too_long(self, filesystem: Filesystem, tmp_path: Path) -> None:
        longest = tmp_path / ("ä" * 125 + ".omni")
        longest.touch()
        unique = filesystem.unique_path(longest)
        unique.touch()
        assert len(unique.name.encode()) <= 255
        assert unique.suffix == ".omni"

    def test_removing_does_not_follow_links(self, filesystem: Filesystem, tmp_path: Path) -> None:
        kept = tmp_path / "kept"
        kept.mkdir()
        (kept / "precious").write_bytes(b"x")
        doomed = tmp_path / "doomed"
        (doomed / "sub").mkdir(parents=True)
        (doomed / "sub" / "file").write_bytes(b"x")
        (doomed / "sub" / "file").chmod(0o400)
        if sys.platform != "win32":
            (doomed / "link").symlink_to(kept, target_is_directory=True)
            (tmp_path / "link").symlink_to(kept, target_is_directory=True)
            filesystem.remove_tree(tmp_path / "link")
            assert not (tmp_path / "link").is_symlink()
        filesystem.remove_tree(doomed)
        filesystem.remove_tree(doomed)
        assert not doomed.exists()
        assert (kept / "precious").read_bytes() == b"x"

    def test_free_space_is_known_of_folders_that_come_later(self, filesystem: Filesystem, tmp_path: Path) -> None:
        assert filesystem.free_bytes(tmp_path / "not" / "yet") > 0

    def test_reading_is_tried_not_guessed(self, filesystem: Filesystem, tmp_path: Path) -> None:
        file = tmp_path / "a.raw"
        file.write_bytes(b"12345")
        assert filesystem.can_read(file)
        assert filesystem.can_read(file, size=5)
        assert not filesystem.can_read(file, size=4)
        assert not filesystem.can_read(tmp_path)
        assert not filesystem.can_read(tmp_path / "absent")
        assert not filesystem.can_read(Path("/a\0b"))

    def test_a_file_in_place_must_be_the_same_file(self, filesystem: Filesystem, tmp_path: Path) -> None:
        file = tmp_path / "a.raw"
        file.write_bytes(b"12345")
        resource = parse_resource("job_result/1/a.raw")
        assert filesystem.reading_error(file, FileStat(resource=resource, size=5)) is None
        assert "4" in str(filesystem.reading_error(file, FileStat(resource=resource, size=4)))
        other = FileStat(resource=resource, size=5, sample_sha256="0" * 64)
        assert filesystem.reading_error(file, other) is not None

    def test_writing_is_tried_and_leaves_nothing_behind(self, filesystem: Filesystem, tmp_path: Path) -> None:
        assert filesystem.can_write(tmp_path / "new.raw")
        assert not filesystem.can_write(tmp_path / "absent" / "new.raw")
        assert not filesystem.can_write(tmp_path)
        assert list(tmp_path.iterdir()) == []
        old = tmp_path / "old.raw"
        old.write_bytes(b"old")
        assert filesystem.can_write(old)
        assert old.read_bytes() == b"old"

    def test_a_copy_is_whole_and_replaces(self, filesystem: Filesystem, tmp_path: Path) -> None:
        source, target = tmp_path / "source", tmp_path / "target"
        for size in (0, 1, (3 << 20) + 17):
            content = os.urandom(size)
            source.write_bytes(content)
            filesystem.copy(source, target)
            assert target.read_bytes() == content
        target.write_bytes(b"mine now")
        assert source.read_bytes() == content
        with pytest.raises(FileError, match="absent"):
            filesystem.copy(tmp_path / "absent", target)
        assert target.read_bytes() == b"mine now"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]

    def test_the_digest_is_of_the_whole_file(self, filesystem: Filesystem, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"abc")
        assert filesystem.sha256(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")

    def test_network_paths_are_known_by_their_form(self, filesystem: Filesystem) -> None:
        assert filesystem.is_network_path(Path(r"\\server\share\scan.isq"))
        assert not filesystem.is_network_path(Path("C:/scan.isq"))
        assert not filesystem.is_network_path(Path("/mnt/scan.isq"))
