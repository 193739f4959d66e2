"""The temporary directory of a job: unique names that never leave it."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xfworkerutil
from tests.symbolic_links import needs_symbolic_links
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.domain.errors import ConfigurationError, InvalidFilename, UsageError
from xfworker.services.script.working_directory import WorkingDirectory


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setenv("XFTEMP", str(tmp_path))
    return xfworkerutil.TemporaryWorkingDirectory("job_")


def test_it_is_made_under_xftemp_with_the_prefix(made, tmp_path):
    assert made.path.is_dir()
    assert made.path.parent == tmp_path
    assert made.path.name.startswith("job_")


def test_a_missing_temporary_folder_is_told_with_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("XFTEMP", str(tmp_path / "absent"))
    with pytest.raises(ConfigurationError, match="XFTEMP"):
        xfworkerutil.TemporaryWorkingDirectory("x")


def test_related_paths_keep_the_name_and_are_unique(made):
    source = Path("/elsewhere/scan.AIM")
    first = made.create_related_path(source, "_SEG.AIM")
    second = made.create_related_path(source, "_SEG.AIM")
    assert first == made.path / "scan_SEG.AIM"
    assert second.parent == made.path
    assert second != first
    assert second.name.endswith("_SEG.AIM") or second.suffix == ".AIM"


def test_temp_paths_are_unique_even_before_a_file_is_there(made):
    assert made.create_temp_path("a.json") != made.create_temp_path("a.json")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "a\\b", "..", "", "C:x", "NUL", "a\0", "x" * 300])
def test_names_that_would_leave_the_directory_are_refused(made, name):
    with pytest.raises(InvalidFilename):
        made.create_temp_path(name)


@pytest.mark.parametrize("postfix", ["/../x", "_a/b.raw", "\\x", ":x"])
def test_postfixes_that_would_leave_the_directory_are_refused(made, postfix):
    with pytest.raises(InvalidFilename):
        made.create_related_path(Path("scan.AIM"), postfix)


@pytest.mark.parametrize(("path", "postfix"), [(None, "_a"), (Path("a"), None), (3, "x"), (Path("a"), 3)])
def test_wrong_arguments_are_told(made, path, postfix):
    with pytest.raises(UsageError, match="create_related_path takes"):
        made.create_related_path(path, postfix)


def test_a_very_long_name_still_gives_a_related_path(made):
    related = made.create_related_path(Path("ü" * 250 + ".AIM"), "_seg.omni")
    related.write_bytes(b"voxels")
    assert made.is_under(related)
    assert related.name.endswith("_seg.omni")


@needs_symbolic_links
def test_is_under_resolves_links_and_dots(made, tmp_path):
    assert made.is_under(made.path / "a" / "b")
    assert made.is_under(made.path)
    assert not made.is_under(made.path / ".." / "other")
    assert not made.is_under(Path(f"{made.path}-sibling"))
    outside = tmp_path / "outside"
    outside.mkdir()
    link = made.path / "link"
    link.symlink_to(outside)
    assert not made.is_under(link / "x")


def test_a_subdirectory_is_used_inside_its_block_only(made):
    with made.subdir("registration of images"):
        inside = made.create_temp_path("a.raw")
        related = made.create_related_path(Path("b.omni"), "_x.raw")
        with made.subdir("deep", max_name_len=2):
            assert made.create_temp_path("c").parent.parent == inside.parent
            assert made.create_temp_path("c").parent.name == "de"
    assert inside.parent.parent == made.path
    assert inside.parent.name == "registra"
    assert inside.parent.is_dir()
    assert related.parent == inside.parent
    assert made.create_temp_path("a.raw").parent == made.path


def test_the_block_is_left_when_something_fails(made):
    with pytest.raises(ValueError, match="x"), made.subdir("a"):
        raise ValueError("x")
    assert made.create_temp_path("b").parent == made.path


def test_two_subdirectories_of_one_name_are_two(made):
    with made.subdir("a"):
        first = made.create_temp_path("x").parent
    with made.subdir("a"):
        assert made.create_temp_path("x").parent != first


@pytest.mark.parametrize("name", ["../..", "/etc", "a/b", "", "  ", "NUL", "ä"])
def test_subdirectories_of_odd_names_stay_inside(made, name):
    with made.subdir(name):
        place = made.create_temp_path("x").parent
    assert place.parent == made.path


@pytest.mark.parametrize("length", [0, -1, "8", True])
def test_a_senseless_length_is_refused(made, length):
    with pytest.raises(UsageError), made.subdir("a", length):
        pass


def test_remove_deletes_everything_and_may_be_repeated(made):
    (made.path / "sub").mkdir()
    (made.path / "sub" / "a").write_bytes(b"1")
    made.remove()
    made.remove()
    assert not made.path.exists()


@settings(max_examples=60)
@given(name=st.text(min_size=1, max_size=300), postfix=st.text(max_size=20))
def test_whatever_the_names_are_a_path_stays_inside_or_is_refused(tmp_path_factory, name, postfix):
    base = tmp_path_factory.mktemp("names")
    directory = xfworkerutil.TemporaryWorkingDirectory.on(LocalFilesystem(base), "x")
    try:
        path = directory.create_related_path(Path(name), postfix)
    except (InvalidFilename, ValueError):
        return
    assert path.parent == directory.path
    path.write_bytes(b"")
    assert [child.name for child in directory.path.iterdir()] == [path.name]


@pytest.mark.parametrize("prefix", ["../evil_", "a/b", "/tmp/x", "a\\b", "x" * 300, "nul\0"])
def test_a_prefix_that_would_leave_the_temporary_folder_is_refused(tmp_path, monkeypatch, prefix):
    (tmp_path / "temp").mkdir()
    monkeypatch.setenv("XFTEMP", str(tmp_path / "temp"))
    with pytest.raises(InvalidFilename):
        xfworkerutil.TemporaryWorkingDirectory(prefix)
    assert [path.name for path in tmp_path.rglob("*")] == ["temp"]


def test_threads_do_not_get_into_each_others_subdirectories(made):
    inside = {name: threading.Event() for name in "ab"}
    go = {name: threading.Event() for name in "ab"}
    found = {}

    def work(name):
        with made.subdir(name):
            inside[name].set()
            go[name].wait(60)
            found[name] = made.create_temp_path("x.dat").parent.name

    threads = {name: threading.Thread(target=work, args=(name,)) for name in "ab"}
    for name, thread in threads.items():
        thread.start()
        assert inside[name].wait(60)
    for name, thread in threads.items():
        go[name].set()
        thread.join()
    assert found == {"a": "a", "b": "b"}
    assert made.create_temp_path("root.dat").parent == made.path


def test_tasks_of_an_event_loop_do_not_get_into_each_others_subdirectories(made):
    async def work(name, other):
        with made.subdir(name):
            other.set()
            await asyncio.sleep(0)
            return made.create_temp_path("x.dat").parent.name

    async def both():
        return await asyncio.gather(work("a", asyncio.Event()), work("b", asyncio.Event()))

    assert asyncio.run(both()) == ["a", "b"]


def test_threads_that_a_script_starts_use_the_subdirectory_that_it_is_in(made):
    with made.subdir("all"), ThreadPoolExecutor(1) as pool:
        path = pool.submit(made.create_temp_path, "x.dat").result()
    assert path.parent.name == "all"


@pytest.fixture
def plain_directory(tmp_path):
    return WorkingDirectory(LocalFilesystem(tmp_path), "job-")


@pytest.mark.parametrize(
    ("name", "directory"), [("a b", "a_b"), (" left? ", "left"), ("***", "sub"), ("n" * 40, "n" * 32)]
)
def test_a_directory_is_named_near_what_was_asked_for(plain_directory, name, directory):
    assert plain_directory.create_temp_directory(name).name == directory


@pytest.mark.parametrize("length", [192, 193, 300])
def test_a_long_name_is_cut_so_that_what_follows_it_has_room(plain_directory, length):
    path = plain_directory.create_related_path(Path("s" * length + ".AIM"), "_seg.AIM")
    assert path.name == "s" * 192 + "_seg.AIM"


def test_threads_without_a_subdirectory_of_their_own_use_that_of_the_maker(plain_directory):
    made = []

    def make_in_a_thread():
        thread = threading.Thread(target=lambda: made.append(plain_directory.create_temp_path("a.raw")))
        thread.start()
        thread.join()

    with plain_directory.subdir("left", max_name_len=1):
        make_in_a_thread()
        own = plain_directory.create_temp_path("b.raw")
    assert (own.parent.name, made[0].parent) == ("l", own.parent)
    make_in_a_thread()
    assert plain_directory.create_temp_path("c.raw").parent == made[1].parent == plain_directory.path
