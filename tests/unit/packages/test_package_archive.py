import json
import os
import stat
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.errors import PackageError
from xfworker.services.packages.archive import archive_violations, pack, unpack

METADATA = b'{"package_format": "XFP-DEP1.0", "name": "Lab.A", "version": "1.0.0.0"}'


@pytest.fixture
def archive(tmp_path):
    def make(*entries, metadata=True):
        path = tmp_path / "package.xfp"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            if metadata:
                opened.writestr("metadata.json", METADATA)
            for entry, content in entries:
                info = entry if isinstance(entry, zipfile.ZipInfo) else zipfile.ZipInfo(entry, (2025, 1, 1, 0, 0, 0))
                if isinstance(entry, str):
                    info.filename = entry  # on Windows the constructor turns backslashes round
                    info.compress_type = zipfile.ZIP_DEFLATED
                opened.writestr(info, content)
        return path

    return make


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "outer" / "target"
    folder.mkdir(parents=True)
    return folder


def refused(path, target):
    with pytest.raises(PackageError) as caught:
        unpack(path, target)
    assert not any(target.iterdir()), "something was written although the archive was refused"
    assert sorted(item.name for item in target.parent.iterdir()) == ["target"]
    return str(caught.value)


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def test_what_was_packed_is_unpacked(tmp_path, target):
    folder = tmp_path / "source"
    (folder / "models" / "large").mkdir(parents=True)
    (folder / "metadata.json").write_bytes(METADATA)
    (folder / "models" / "large" / "größe.bin").write_bytes(os.urandom(3_000_000))
    pack(folder, tmp_path / "a.xfp")
    unpack(tmp_path / "a.xfp", target)
    for name in ("metadata.json", "models/large/größe.bin"):
        assert (target / name).read_bytes() == (folder / name).read_bytes()
    with zipfile.ZipFile(tmp_path / "a.xfp") as opened:
        for entry in opened.infolist():
            # What others unpack is a file that everybody may read, of no time and of no system in particular.
            assert (entry.create_system, entry.external_attr >> 16) == (3, stat.S_IFREG | 0o644)
            assert (entry.date_time, entry.compress_type) == ((1980, 1, 1, 0, 0, 0), zipfile.ZIP_DEFLATED)


def test_the_same_files_give_the_same_archive(tmp_path):
    for number in (1, 2):
        folder = tmp_path / f"source{number}"
        folder.mkdir()
        for name in ("metadata.json", "main.py") if number == 1 else ("main.py", "metadata.json"):
            (folder / name).write_bytes(METADATA)
        os.utime(folder / "main.py", (number * 1e9, number * 1e9))
        (folder / "main.py").chmod(0o600 if number == 1 else 0o755)
        pack(folder, tmp_path / f"{number}.xfp")
    assert (tmp_path / "1.xfp").read_bytes() == (tmp_path / "2.xfp").read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "a/../../evil.txt",
        "/etc/evil.txt",
        "C:/evil.txt",
        "..\\evil.txt",
        "a\\b.txt",
        "\\\\server\\share\\evil.txt",
        "a//b.txt",
        "./a.txt",
        "NUL",
        "com1.txt",
        "a/aux.py",
        "trailing.",
        "stream.txt:evil",
        "line\nfeed.txt",
        "../",
    ],
)
def test_names_from_hell_are_refused(archive, target, name):
    assert "was not unpacked:\n  " in refused(archive((name, b"evil")), target)


def test_each_thing_that_is_wrong_is_said_of_its_entry(archive, target):
    packed = zipfile.ZipInfo("b.txt")
    packed.compress_type = zipfile.ZIP_BZIP2
    said = refused(archive(("/etc/a", b"1"), ("a//b", b"1"), (packed, b"1"), (link("c"), b"d")), target)
    assert [line.partition(";")[0] for line in said.splitlines()[1:]] == [
        "  '/etc/a': is an absolute path",
        "  'a//b': path segment '' is empty",
        "  'b.txt': is compressed in a way other than deflate",
        "  'c': is a link",
    ]
    before = zipfile.ZipInfo("metadata.json")
    before.header_offset = -1
    assert archive_violations([before], 100) == ["'metadata.json': begins before the archive does"]
    wrong = [zipfile.ZipInfo(f"../{number}") for number in range(60)]
    assert len(archive_violations(wrong, 100)) == 50


def test_an_archive_of_nothing_is_refused(archive, target):
    assert "metadata.json: is not at the root" in refused(archive(metadata=False), target)


def test_a_name_with_nul_is_refused(archive, target):
    # zipfile cuts names at NUL when it writes, too, so the name is forged afterwards.
    path = archive(("goodXevil.txt", b"x"))
    path.write_bytes(path.read_bytes().replace(b"goodXevil.txt", b"good\0evil.txt"))
    refused(path, target)


def test_links_are_refused(archive, target):
    assert "is a link" in refused(archive((link("passwd"), b"/etc/passwd")), target)


def test_devices_are_refused(archive, target):
    entry = link("device")
    entry.external_attr = (stat.S_IFIFO | 0o644) << 16
    assert "is neither a file nor a folder" in refused(archive((entry, b"")), target)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicates_are_refused(archive, target):
    assert "is there twice" in refused(archive(("a.txt", b"1"), ("a.txt", b"2")), target)


def test_names_that_differ_in_case_only_are_refused(archive, target):
    assert "the other time as" in refused(archive(("Main.py", b"1"), ("main.py", b"2")), target)


def test_a_file_that_is_a_folder_as_well_is_refused(archive, target):
    for entries in (
        [("a", b"1"), ("A/b", b"2")],
        [("a/b", b"1"), ("A/B/c/d", b"2")],
        [("boX/", b""), ("BOX", b"1")],
        [("folder/", b""), ("a", b"1"), ("a/b", b"2")],
    ):
        assert "is a file and a folder" in refused(archive(*entries), target)


def test_bombs_are_refused_before_they_are_unpacked(archive, target):
    assert "bomb" in refused(archive(("zeros.bin", bytes(100 << 20))), target)


def test_a_lie_about_the_size_is_noticed(archive, target):
    path = archive(("data.bin", bytes(1000)))
    content = bytearray(path.read_bytes())
    # The directory entry's uncompressed size stands 24 bytes behind its signature; the second entry is data.bin.
    second = content.rindex(b"PK\x01\x02")
    content[second + 24 : second + 28] = (10).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(PackageError):
        unpack(path, target)


def test_too_many_files_are_refused(archive, target):
    entries = [zipfile.ZipInfo(f"f{number}") for number in range(20_001)]
    assert "20000 is the most" in archive_violations(entries, 1 << 20)[0]
    assert archive_violations([zipfile.ZipInfo("metadata.json"), *entries[:19_999]], 1 << 20) == []


MIB = 1 << 20


@pytest.mark.parametrize(
    ("unpacked", "packed", "violation"),
    [
        (64 * MIB, 1, None),
        (64 * MIB + 1, 1, "this is a bomb"),
        (200 * MIB, MIB, None),
        (200 * MIB + 1, MIB, "200 times its size: this is a bomb"),
        (2048 * MIB, 2048 * MIB, None),
        (2048 * MIB + 1, 2048 * MIB, "2147483648 is the most"),
    ],
)
def test_how_much_an_archive_may_unpack_to(unpacked, packed, violation):
    entry = zipfile.ZipInfo("metadata.json")
    entry.file_size = unpacked
    found = archive_violations([entry], packed)
    assert found == [] if violation is None else violation in found[0]


def test_a_folder_that_is_too_large_is_not_packed(tmp_path):
    (tmp_path / "source").mkdir()
    with (tmp_path / "source" / "metadata.json").open("wb") as file:
        file.truncate(2048 * MIB + 1)
    with pytest.raises(PackageError, match="holds 1 files, 2147483649 bytes"):
        pack(tmp_path / "source", tmp_path / "a.xfp")


def test_metadata_must_be_at_the_root(archive, target):
    assert "is not at the root" in refused(archive(("folder/metadata.json", METADATA), metadata=False), target)


def test_encrypted_files_are_refused(archive, target):
    path = archive(("a.txt", b"x"))
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.rindex(signature) + offset] |= 1
    path.write_bytes(content)
    assert "'a.txt': is encrypted" in refused(path, target)


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all", b"PK\x05\x06" + bytes(10)])
def test_what_is_no_archive_is_said(tmp_path, target, content):
    path = tmp_path / "a.xfp"
    path.write_bytes(content)
    assert "is not a package archive" in refused(path, target)


def test_damage_is_said(archive, target):
    path = archive(("data.txt", json.dumps(list(range(5000)))))
    content = bytearray(path.read_bytes())
    at = content.index(b"data.txt") + 200
    content[at : at + 50] = bytes(50)
    path.write_bytes(content)
    with pytest.raises(PackageError, match="damaged"):
        unpack(path, target)


@given(names=st.lists(st.text(max_size=30), max_size=5))
def test_no_listed_name_leaves_the_folder(tmp_path_factory, names):
    entries = []
    for name in names:
        entry = zipfile.ZipInfo("x")
        entry.filename = entry.orig_filename = name
        entries.append(entry)
    if archive_violations(entries, 1 << 20):
        return
    folder = tmp_path_factory.getbasetemp() / "folder"
    for entry in entries:
        place = folder.joinpath(*entry.orig_filename.split("/"))
        assert folder in place.parents
