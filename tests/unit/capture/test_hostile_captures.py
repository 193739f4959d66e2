"""A capture may come from anybody: nothing in it reaches beyond its limits or the folder that it is unpacked into."""

import hashlib
import json
import zipfile
from contextlib import suppress

import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from xfworker.api.capture.player import Player
from xfworker.api.capture.values import Places
from xfworker.domain.errors import ChecksumMismatch, UsageError, XFWorkerError
from xfworker.services.capture import reading
from xfworker.services.capture.bundling import plan_bundle
from xfworker.services.capture.calls import RecordedCall, check_encoded, described
from xfworker.services.capture.comparison import plain
from xfworker.services.capture.inputs import captured_inputs, with_inputs
from xfworker.services.capture.inventory import file_names, left_out
from xfworker.services.capture.manifest import CapturedEntry, CapturedFile, CaptureManifest
from xfworker.services.capture.reading import OpenCapture
from xfworker.services.capture.stored import stored_files, with_data


def manifest_of(files=(), **outcome):
    """Give a manifest of no entries; of files by key."""
    made = {key: CapturedFile(size=8, entry=entry, omitted="", is_blanked=False) for key, entry in dict(files).items()}
    return CaptureManifest(
        entries={},
        files=made,
        outcome=outcome,
        calls=0,
        created_at="2026-01-01T00:00:00Z",
        environment={"python": "3.11"},
    )


def written(path, entries, /, *, calls=b"", count=None, sizes=(), **changes):
    """Write a capture with right digests, then with what is to be wrong: ``sizes`` are what it claims to unpack to."""
    entries = {"calls.jsonl": calls, "log.txt": b"", **entries}
    document = {
        "format": "XFCAP1.0",
        "created_at": "2026-01-01T00:00:00Z",
        "calls": len(calls.splitlines()) if count is None else count,
        "outcome": {"ending": "finished"},
        "files": {},
        "entries": [
            {
                "entry": name,
                "size": dict(sizes).get(name, len(content)),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
            for name, content in entries.items()
        ],
        **changes,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
        archive.writestr("capture.json", json.dumps(document))
        for name, size in dict(sizes).items():
            archive.getinfo(name).file_size = size
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../evil.py",
        "package/../../evil.py",
        "/etc/evil.py",
        "package/C:evil.py",
        "package/CON",
        "package//x",
        "package\\..\\evil.py",
        "files",
        "elsewhere/evil.py",
    ],
)
def test_entries_that_would_land_elsewhere_are_refused(tmp_path, name):
    path = written(tmp_path / "evil.xfcap", {name: b"x"})
    with pytest.raises(UsageError, match="evil"):
        OpenCapture(path)


def test_an_entry_that_unpacks_to_more_than_it_says_is_refused(tmp_path):
    path = written(tmp_path / "bomb.xfcap", {})
    big = b"\0" * 1_000_000
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("package/main.py", big)
    with zipfile.ZipFile(path) as archive:
        document = json.loads(archive.read("capture.json"))
        contents = {name: archive.read(name) for name in archive.namelist()}
    document["entries"].append({"entry": "package/main.py", "size": 10, "sha256": "0" * 64})
    contents["capture.json"] = json.dumps(document).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(UsageError, match="missing or has another size"):
        OpenCapture(path)


MAIN, OTHER = "package/main.py", "files/other"
LARGE = {"capture.json": 1 << 26, "log.txt": 1 << 26, "calls.jsonl": 1 << 30, MAIN: (1 << 36) - (1 << 26) - (1 << 30)}


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"capture.json": (1 << 26) + 1}, "too large to be one"),
        ({"log.txt": (1 << 26) + 1}, "bytes; 67,108,864 are allowed"),
        ({"calls.jsonl": (1 << 30) + 1}, "bytes; 1,073,741,824 are allowed"),
        ({MAIN: (1 << 36) + 1}, "bytes; 68,719,476,736 are allowed"),
        ({**LARGE, OTHER: 1}, "unpacks to more than 68,719,476,736 bytes"),
    ],
)
def test_what_unpacks_to_too_much_is_refused_before_anything_is_unpacked_and_the_file_is_closed(
    tmp_path, sizes, message
):
    path = written(tmp_path / "large.xfcap", {MAIN: b"", OTHER: b""}, sizes=sizes)
    with pytest.raises(UsageError, match=message) as caught:
        OpenCapture(path)
    assert str(path) not in [file.path for file in psutil.Process().open_files()], caught


def test_what_unpacks_to_as_much_as_is_allowed_is_opened(tmp_path):
    with OpenCapture(written(tmp_path / "large.xfcap", {MAIN: b""}, sizes=LARGE)) as capture:
        assert capture.manifest.entries[MAIN].size == LARGE[MAIN]
    with OpenCapture(written(tmp_path / "larger.xfcap", {MAIN: b""}, sizes={MAIN: 1 << 36})) as capture:
        assert capture.manifest.entries[MAIN].size == 1 << 36


def test_a_capture_has_no_more_entries_than_recorders_write(tmp_path, monkeypatch):
    path = written(tmp_path / "many.xfcap", {MAIN: b""})
    monkeypatch.setattr(reading, "MOST_ENTRIES", 4)
    OpenCapture(path).close()
    monkeypatch.setattr(reading, "MOST_ENTRIES", 3)
    with pytest.raises(UsageError, match="has 4 entries; a capture has at most 3"):
        OpenCapture(path)


def test_a_changed_byte_is_found(tmp_path):
    path = written(tmp_path / "a.xfcap", {"package/main.py": b"pass\n"})
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents["package/main.py"] = b"evil\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with OpenCapture(path) as capture, pytest.raises(ChecksumMismatch, match=r"package/main\.py"):
        capture.verify()


def test_names_that_are_twice_in_it_and_foreign_versions_are_refused(tmp_path):
    path = written(tmp_path / "twice.xfcap", {})
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("log.txt", b"again")
    with pytest.raises(UsageError, match="in it twice"):
        OpenCapture(path)
    with pytest.raises(UsageError, match=r"its format is 'XFCAP9\.0', and this reads 'XFCAP1\.0'"):
        OpenCapture(written(tmp_path / "new.xfcap", {}, format="XFCAP9.0"))
    with pytest.raises(UsageError, match="there is no capture"):
        OpenCapture(tmp_path / "gone.xfcap")
    (tmp_path / "text.xfcap").write_text("not a ZIP")
    with pytest.raises(UsageError, match="is not a capture"):
        OpenCapture(tmp_path / "text.xfcap")


@given(content=st.binary(max_size=300), at=st.integers(0, 10_000))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_damage_anywhere_is_an_error_of_ours(tmp_path, content, at):
    path = written(
        tmp_path / "damaged.xfcap", {"package/main.py": b"print()\n" * 50}, calls=b'{"call":"f","args":{}}\n'
    )
    whole = path.read_bytes()
    place = at % len(whole)
    path.write_bytes(whole[:place] + content + whole[place + len(content) :])
    try:
        with OpenCapture(path) as capture:
            capture.verify()
    except XFWorkerError as error:
        assert str(path) in str(error)  # noqa: PT017  damage may also hit what nobody reads


MEMBERS = st.sampled_from(
    [
        "class",
        "id",
        "state",
        "items",
        "name",
        "value",
        "file",
        "folder",
        "dtype",
        "shape",
        "fields",
        "base64",
        "sha256",
        "offset",
        "args",
        "bases",
        "context",
        "x",
    ]
)
KINDS = st.sampled_from(
    [
        "object",
        "path",
        "tuple",
        "list",
        "set",
        "frozenset",
        "dict",
        "secret",
        "bytes",
        "array",
        "scalar",
        "exception",
        "enum",
        "datetime",
        "uuid",
        "decimal",
        "complex",
        "range",
        "iterator",
        "name",
        "omitted",
        "pending",
        "float",
        "new",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(MEMBERS, inner, max_size=4)
        | st.builds(lambda kind, more: {**more, "$": kind}, KINDS, st.dictionaries(MEMBERS, inner, max_size=3))
    ),
    max_leaves=12,
)

NAMES = (
    "XFWorkerJob",
    "XFWorkerJob.load_job",
    "Record.__getitem__",
    "XFWorkerJob.upload_output_file",
    "XFWorkerJob.get_omni_image",
    "XFWorkerJob.get_current_task",
    "xfworkerutil.get_xf_parameter_sequence",
)


@given(JSON)
@example({"$": "decimal", "value": ""})
@example({"$": "complex", "value": []})
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_values_of_any_form_are_decoded_or_refused_and_nothing_is_written_elsewhere(tmp_path_factory, value):
    # In a folder of its own: beside those of all other tests, looking at what is there would take longer than decoding.
    folder = tmp_path_factory.getbasetemp() / "decoding" / "decoded"
    folder.mkdir(parents=True, exist_ok=True)
    manifest = manifest_of()
    player = Player(
        manifest, [RecordedCall(number=1, name="network.f", args={}, result=value)], folder, folder / "none"
    )
    before = set(folder.parent.iterdir())
    with suppress(XFWorkerError):
        player.call(None, "network.f", (), {})
    assert set(folder.parent.iterdir()) == before


def test_what_a_script_wrote_over_a_captured_file_stays(tmp_path):
    key = hashlib.sha256(b"captured").hexdigest()
    (tmp_path / key).write_bytes(b"captured")
    entry = CapturedEntry(name=f"files/{key}", size=8, sha256=key)
    manifest = manifest_of({key: entry})
    places = Places(manifest, tmp_path, tmp_path / "places", [].append)
    path = {"$": "path", "name": "a.raw", "folder": 1, "file": {"size": 8, "sha256": key}}

    laid = places.materialised(path)
    assert laid.read_bytes() == b"captured"
    laid.write_bytes(b"the script's own")
    assert places.materialised(path).read_bytes() == b"the script's own"
    assert places.materialised(path, is_written=True).read_bytes() == b"captured"


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.dictionaries(MEMBERS, JSON, max_size=2), JSON), max_size=3), JSON)
@settings(max_examples=100, deadline=None)
def test_what_calls_of_any_form_are_shown_and_bundled_as_is_json_or_an_error_of_ours(rows, value):
    calls = []
    try:
        check_encoded(value)
        for number, (name, args, result) in enumerate(rows, 1):
            row = {"number": number, "call": name, "args": {"local_path": value, "input_parameter": value, **args}}
            calls.append(RecordedCall.from_json({**row, "result": result}))
    except (ValueError, TypeError, KeyError):
        return
    shown = [
        plain(value),
        with_data(value, calls),
        captured_inputs(calls),
        file_names(calls),
        left_out(calls),
        [described(call.name, call.args) for call in calls],
        [str(file) for file in stored_files(calls).items()],
    ]
    assert json.loads(json.dumps(shown, allow_nan=True)) is not None
    with suppress(XFWorkerError):
        with_inputs(calls, {"x": 1})
    with suppress(XFWorkerError):
        plan_bundle(manifest_of(ending="finished", args=value), calls)
