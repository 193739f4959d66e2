"""How values of captures are compared, shown, replaced and refused."""

import hashlib
import json

import pytest
from attrs import evolve

from tests.unit.capture.test_hostile_captures import written
from xfworker.adapters.images.registry import image_formats
from xfworker.domain.errors import ChecksumMismatch, NotEnoughSpace, UsageError
from xfworker.services.capture.calls import RecordedCall, short
from xfworker.services.capture.comparison import PlayedResult, compare_played, plain
from xfworker.services.capture.inputs import captured_inputs, with_inputs
from xfworker.services.capture.inventory import left_out
from xfworker.services.capture.manifest import (
    ERROR,
    FINISHED,
    HANDED_OVER,
    CapturedEntry,
    CapturedFile,
    read_manifest,
)
from xfworker.services.capture.matching import Matcher, differences
from xfworker.services.capture.reading import OpenCapture, as_document
from xfworker.services.capture.stored import StoredFile, stored_files, with_data
from xfworker.services.comparison.difference import Tolerance

PATH = {"$": "path", "name": "a.raw", "folder": 1}


def call(name, args=None, result=None, **more):
    return RecordedCall(number=1, name=name, args=args or {}, result=result, **more)


def compared(outcome, played, *, stored=None, content=None):
    return compare_played(outcome, [], stored or {}, lambda *_: content, played, Tolerance(), None)


@pytest.mark.parametrize(
    "row",
    [
        {"call": 5, "args": {}},
        {"call": "f", "args": []},
        {"call": "f", "args": {}, "raised": "no"},
        {"call": "f", "args": {}, "wrote": {}},
        {"call": "f", "args": {}, "self": "one"},
        {"call": "f", "args": {"x": {"$": "float"}}},
        {"call": "f", "args": {}, "result": {"$": "tuple", "items": 5}},
        {"call": "f", "args": {}, "result": [{"$": "dict", "items": [[1]]}]},
        {"call": "f", "args": {}, "after": {"x": {"$": "object", "id": "first"}}},
        {"args": {}},
        [],
    ],
)
def test_a_line_that_no_recorder_writes_is_named_by_its_number(tmp_path, row):
    lines = [json.dumps({"number": 1, "call": "f", "args": {}}), json.dumps({"number": 2, **row} if row else row)]
    with (
        OpenCapture(written(tmp_path / "a.xfcap", {}, calls="\n".join(lines).encode())) as capture,
        pytest.raises(UsageError, match=r"is damaged: call 2 in calls\.jsonl"),
    ):
        capture.calls()


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {"not a digest": {"size": 1}}},
        {"files": {"a" * 64: {"size": -1}}},
        {"files": {"a" * 64: {"size": True}}},
        {"names": []},
        {"entries": [{}]},
        {"outcome": {"args": {"$": "float", "value": "much"}}},
    ],
)
def test_a_manifest_that_no_recorder_writes_is_damaged(tmp_path, changes):
    with pytest.raises(UsageError, match=r"is damaged: capture\.json lacks something or holds something else"):
        OpenCapture(written(tmp_path / "a.xfcap", {}, **changes))


def test_a_capture_with_fewer_calls_than_were_written_is_not_what_was_written(tmp_path):
    path = written(tmp_path / "a.xfcap", {}, calls=b'{"number": 1, "call": "f", "args": {}}', count=2)
    with OpenCapture(path) as capture, pytest.raises(ChecksumMismatch, match="it holds 1 calls, and 2 were written"):
        capture.verify()


def test_files_that_the_disk_has_no_room_for_are_not_unpacked(tmp_path):
    size = 1 << 60
    path = written(
        tmp_path / "a.xfcap",
        {f"files/{'a' * 64}": b"x"},
        files={"a" * 64: {"size": size, "entry": f"files/{'a' * 64}"}},
    )
    with (
        OpenCapture(path) as capture,
        pytest.raises(NotEnoughSpace, match=f"unpacks to {size:,} bytes, and .* has room for"),
    ):
        capture.unpack_files(tmp_path)


def test_calls_that_are_missing_are_said_and_a_missing_log_is_empty(tmp_path):
    path = written(tmp_path / "a.xfcap", {}, entries=[])
    with OpenCapture(path) as capture:
        assert capture.log() == ""
        with pytest.raises(UsageError, match=r"is damaged: it has no calls\.jsonl"):
            capture.calls()


def test_a_package_is_unpacked_with_its_folders_and_a_log_of_any_bytes_is_read(tmp_path):
    package = {"package/main.py": b"1", "package/a/b/one.py": b"2", "package/a/b/two.py": b"3"}
    (tmp_path / "package").mkdir()
    with OpenCapture(written(tmp_path / "a.xfcap", {**package, "log.txt": "größer\n".encode() + b"\xff"})) as capture:
        capture.unpack_package(tmp_path / "package")
        assert capture.log() == "größer\n\N{REPLACEMENT CHARACTER}"
    for name, content in package.items():
        assert (tmp_path / name).read_bytes() == content


def test_files_are_unpacked_under_their_digests_and_those_that_were_left_out_are_not(tmp_path):
    key, other = hashlib.sha256(b"x").hexdigest(), "b" * 64
    files = {key: {"size": 1, "entry": f"files/{key}"}, other: {"size": 1 << 60, "omitted": "too large"}}
    (tmp_path / "files").mkdir()
    with OpenCapture(written(tmp_path / "a.xfcap", {f"files/{key}": b"x"}, files=files)) as capture:
        capture.unpack_files(tmp_path / "files")
    assert {path.name: path.read_bytes() for path in (tmp_path / "files").iterdir()} == {key: b"x"}


def test_a_capture_is_described_without_the_tables_that_only_replaying_needs(tmp_path):
    path = written(
        tmp_path / "a.xfcap",
        {"package/main.py": b""},
        names={},
        classes={},
        signatures={},
        folders={},
        script="main.py",
    )
    with OpenCapture(path) as capture:
        document = as_document(capture)
    assert set(document) == {
        "path", "format", "created_at", "calls", "outcome", "files", "package", "script",
    }  # fmt: skip
    assert (document["path"], document["package"]) == (str(path), ["package/main.py"])


def test_a_manifest_is_read_with_all_that_it_says_and_why_a_file_is_not_there():
    digest, entry = "a" * 64, {"entry": "files/1", "size": 7, "sha256": "b" * 64}

    def read(file, **changes):
        document = {"format": "XFCAP1.0", "created_at": "now", "calls": 3, "entries": [entry], "files": {digest: file}}
        return read_manifest(json.dumps({**document, **changes}).encode(), "a.xfcap")

    manifest = read({"size": 7, "entry": "files/1", "blanked": True}, notes=["slow"], job_serial=4, script="s.py")
    kept = CapturedFile(
        size=7, entry=CapturedEntry(name="files/1", size=7, sha256="b" * 64), omitted="", is_blanked=True
    )
    assert (manifest.files, manifest.notes, manifest.ending) == ({digest: kept}, ("slow",), "")
    assert (manifest.job_serial, manifest.script, manifest.calls, manifest.created_at) == (4, "s.py", 3, "now")
    absent = read({"size": 7}).files[digest]
    assert (absent.entry, absent.omitted, absent.is_blanked) == (None, "its content is not there", False)
    assert read({"size": 7, "omitted": "too large"}).files[digest].omitted == "too large"
    assert (FINISHED, ERROR, HANDED_OVER) == ("finished", "error", "handed over")
    with pytest.raises(UsageError, match=r"a\.xfcap is not a capture"):
        read({"size": 7}, format="other")


@pytest.mark.parametrize(
    ("recorded", "actual", "expected"),
    [
        ({"$": "omitted"}, [1, 2], 1),
        ({"$": "array", "sha256": "a"}, {"$": "array", "sha256": "a"}, 0),
        ({"$": "array", "sha256": "a"}, {"$": "array", "sha256": "b"}, 1),
        ({"$": "iterator", "id": 1}, {"$": "iterator", "id": 2}, 0),
        ({"$": "exception", "class": "A"}, {"$": "exception", "class": "B"}, 0),
        ({"$": "uuid", "value": "a"}, {"$": "uuid", "value": "b"}, 1),
        ({"$": "datetime", "value": "a"}, {"$": "datetime", "value": "a"}, 0),
        ({"$": "enum", "name": "ON"}, {"$": "enum", "name": "OFF"}, None),
        ({"$": "enum", "name": "ON"}, {"$": "enum", "name": "ON"}, 0),
        ({"$": "range", "start": 1}, {"$": "range", "stop": 1}, None),
        ({"$": "range", "start": 1}, {"$": "range", "start": 1}, 0),
        ({"$": "uuid", "value": "a"}, {"$": "enum", "name": "a"}, None),
        (10**400, 1.5, None),
        ([1], [1, 2], None),
    ],
)
def test_values_are_alike_by_the_rules_of_their_kinds(recorded, actual, expected):
    assert differences(recorded, actual) == expected


def test_a_call_of_an_unknown_name_is_nearest_to_those_of_a_similar_one():
    matcher = Matcher([call("XFWorkerJob.get_xf_task", {"serial": 1}), call("network.ping")])
    assert matcher.nearest("xfworkerutil.get_xf_tasks", {}) == ["XFWorkerJob.get_xf_task(serial=1)"]


@pytest.mark.parametrize(
    ("encoded", "shown"),
    [
        (
            {"$": "dict", "items": [[{"$": "tuple", "items": [1]}, {"$": "float", "value": "inf"}]]},
            {"[1]": float("inf")},
        ),
        ({"$": "uuid", "value": "abc"}, "abc"),
        ({"$": "scalar", "value": 2.5, "dtype": "float32"}, 2.5),
        ({"$": "enum", "name": "ON", "class": "Switch"}, "ON"),
        ({"$": "secret"}, "[secret]"),
        (PATH, "a.raw"),
        ({"$": "object", "class": "Image", "id": 3}, "Image"),
        ({"$": "pending"}, "pending"),
        *(({"$": kind, "items": [1, PATH]}, [1, "a.raw"]) for kind in ("tuple", "list", "set", "frozenset")),
        *(({"$": kind, "value": "v"}, "v") for kind in ("datetime", "date", "time", "timedelta", "decimal")),
        *(({"$": kind, "name": "a"}, f"[{kind}]") for kind in ("secret", "array", "omitted")),
        ({"$": "enum", "class": "Switch"}, None),
    ],
)
def test_values_are_shown_as_plain_json(encoded, shown):
    assert plain(encoded) == shown


def test_what_is_nested_deep_is_shown_shortened():
    assert short([[[[[[1]]]]]]) == "[[[[[...]]]]]"


def test_an_end_of_another_kind_is_the_one_difference_and_its_message_is_given():
    comparison = compared({"ending": "finished"}, PlayedResult("error", message="no mask"))
    assert [str(difference.message) for difference in comparison.differences] == [
        "the script ended otherwise: finished then, error now: no mask"
    ]


def test_an_end_of_another_kind_without_a_message_is_told_apart_by_itself():
    comparison = compared({"ending": "finished"}, PlayedResult("error"))
    [difference] = comparison.differences
    assert (difference.path, difference.message) == ("ending", "the script ended otherwise: finished then, error now")
    assert comparison.to_json() == {
        "same": False, "differences": [difference.to_json()], "calls": {"new": [], "left_out": []}, "notes": [],
    }  # fmt: skip


def test_calls_that_change_records_are_differences_and_those_that_end_the_job_or_only_look_are_not():
    ends = [f"XFWorkerJob.{name}" for name in ("finish", "error", "switch_to_interactive_mode")]
    looks = [call("XFWorkerJob.__enter__"), call("Image.size", is_data=True), *map(call, ends)]
    calls = [evolve(one, number=n) for n, one in enumerate([*looks, call("XFWorkerJob.spawn_job"), call("ping")])]
    new = [(name, {}) for name in (*ends, "xfworkerutil.update_job", "xfworkerutil.ping")]
    played = PlayedResult("error", new=new, left_out=range(len(calls)))
    comparison = compare_played({"ending": "error"}, calls, {}, lambda *_: None, played, Tolerance(), None)
    assert [(difference.path, difference.message) for difference in comparison.differences] == [
        ("calls.XFWorkerJob.spawn_job", "is left out"),
        ("calls.xfworkerutil.update_job", "is new"),
    ]
    assert comparison.new_calls == ["xfworkerutil.update_job()", "xfworkerutil.ping()"]
    assert comparison.left_out_calls == ["XFWorkerJob.spawn_job()", "ping()"]


def test_fresh_uuids_among_outputs_are_the_same_where_they_stand_for_the_same():
    one, two, three = (f"0b0c9e70-6a7f-4a39-8a8e-c6a0d6b1f00{n}" for n in range(3))

    def differing(expected, actual):
        outcome = {"ending": "finished", "args": {"outputs": expected}}
        played = PlayedResult("finished", outputs=actual)
        return [difference.path for difference in compared(outcome, played).differences]

    assert differing([one, {"a": f"of {one.upper()}"}, two], [three, {"a": f"of {three}"}, one]) == []
    assert differing([one, two], [three, three]) == ["outputs[1]"]


def test_units_that_were_stated_by_a_call_of_their_own_are_compared():
    calls = [call("XFWorkerJob.set_output_units", {"units": {"volume": "mm3"}})]
    played = PlayedResult("finished", outputs=None, units={"volume": "cm3"})
    comparison = compare_played({"ending": "finished"}, calls, {}, lambda *_: None, played, Tolerance(), None)
    assert [difference.path for difference in comparison.differences] == ["units.volume"]


def test_files_that_are_missing_or_cannot_be_compared_are_said(tmp_path):
    stored = {"gone.txt": StoredFile(key="a"), "large.txt": StoredFile(key="b", omitted="larger than 5 MB")}
    stored["lost.txt"] = StoredFile(key="c")
    path = tmp_path / "x"
    played = PlayedResult("error", files={"large.txt": path, "lost.txt": path, "new.txt": path})

    comparison = compared({"ending": "error"}, played, stored=stored)

    assert [(difference.path, difference.message) for difference in comparison.differences] == [
        ("files['gone.txt']", "was not stored"),
        ("files['new.txt']", "was not expected"),
    ]
    assert comparison.notes == [
        "large.txt was not compared: larger than 5 MB",
        "lost.txt was not compared: its content is not in the capture",
    ]


def test_files_are_compared_by_what_they_are(tmp_path):
    def file(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    same, other = b'{"a": [1, 2.0]}', b'{\n "a": [1, 2.5]}'
    contents = {
        "0.raw": (b"12", b"13"), "a.raw": (b"12", b"13"), "b.raw": (b"12", b"12"),
        "c.OMNI": (same, same.replace(b" ", b"")), "d.omni": (same, other), "e.omni": (same, b"no document"),
        "f.json": (same, same), "g.bin": (b"1", b"2"),
    }  # fmt: skip
    expected = {name: file(f"then/{name}", before) for name, (before, _) in contents.items()}
    layouts = {"0.raw": {"dtype": "uint8", "shape": [1, 1, 2]}}
    played = PlayedResult(
        "error", layouts=layouts, files={name: file(f"now/{name}", after) for name, (_, after) in contents.items()}
    )
    stored = {"gone": StoredFile(key="k"), "left": StoredFile(key=None)} | {n: StoredFile(key="k") for n in contents}
    played.files["left"] = tmp_path
    comparison = compare_played(
        {"ending": "error"}, [], stored, lambda _, name: expected[name], played, Tolerance(), image_formats()
    )
    assert list(dict.fromkeys(difference.path.partition(".a")[0] for difference in comparison.differences)) == [
        "files['gone']", *(f"files[{name!r}]" for name in ("0.raw", "a.raw", "d.omni", "e.omni", "g.bin")),
    ]  # fmt: skip
    assert comparison.notes == [
        "left was not compared: its content is not in the capture",
        "nothing tells the layout of the pixels of a.raw, so it was compared byte by byte",
    ]


def test_a_raw_file_that_is_not_as_large_as_its_image_says_so(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(b"12345")
    layouts = {"a.raw": {"dtype": "uint8", "shape": [1, 2, 3]}}
    played = PlayedResult("error", files={"a.raw": path}, layouts=layouts)
    (found,) = compared({"ending": "error"}, played, stored={"a.raw": StoredFile(key="a")}, content=path).differences
    assert found.message == "has 5 bytes, not those of (1, 2, 3) uint8"


def test_inputs_of_a_job_of_a_class_of_its_own_are_those_that_the_script_read():
    calls = [call("Job.__getitem__", {"key": "inputs"}, {"threshold": 20, "deep": {"threshold": 20}})]
    assert captured_inputs(calls) == {"threshold": 20, "deep": {"threshold": 20}}
    (replaced,) = with_inputs(calls, {"threshold": 30})
    assert replaced.result == {"threshold": 30, "deep": {"threshold": 20}}
    assert captured_inputs([call("network.ping")]) == {}


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"x": 1, "y": 2}, {"x": 9, "y": 2}),
        ({"$": "dict", "items": [["x", 1], ["y", 1]]}, {"$": "dict", "items": [["x", 9], ["y", 1]]}),
    ],
)
@pytest.mark.parametrize("name", ["XFWorkerJob.job", "XFWorkerJob.load_job"])
def test_an_input_is_replaced_wherever_the_record_was_given(inputs, expected, name):
    nested = {"$": "dict", "items": [["inputs", inputs], [7, "x"]]}
    calls = [call(name, result={"id": 17, "inputs": inputs}), call("f", result=[nested], after={"inputs": inputs})]

    first, second = with_inputs(calls, {"x": 9})

    assert first.result == {"id": 17, "inputs": expected}
    assert second.result == [{"$": "dict", "items": [["inputs", expected], [7, "x"]]}]
    assert second.after == {"inputs": expected}


def test_an_input_of_a_record_of_another_shape_is_found_where_one_object_has_it():
    job = {"data": {"arguments": {"x": 1}}, "more": [{"x": 5}]}
    (replaced,) = with_inputs([call("XFWorkerJob.job", result=job)], {"x": 9})
    assert replaced.result == {"data": {"arguments": {"x": 9}}, "more": [{"x": 5}]}


def test_an_input_that_several_objects_have_is_refused_with_their_names():
    job = {"before": {"x": 1}, "after": {"x": 2}}
    with pytest.raises(UsageError, match="x: several objects of the captured job have such a key: before, after"):
        with_inputs([call("XFWorkerJob.job", result=job)], {"x": 9})
    with pytest.raises(UsageError, match="y: the captured job has no such input; it has: none that can be named"):
        with_inputs([call("XFWorkerJob.job", result=job)], {"y": 9})
    for job, known in (({"inputs": {"y": 1}, "other": {"x": 5}}, "y=1"), ({"x": 1}, "none that can be named")):
        with pytest.raises(UsageError, match=f"x: the captured job has no such input; it has: {known}"):
            with_inputs([call("XFWorkerJob.job", result=job)], {"x": 9})


def test_an_input_is_not_replaced_in_what_only_looks_like_the_jobs_inputs():
    calls = [
        call("XFWorkerJob.job", result={"inputs": {"x": 1}}),
        call("Job.get", {"key": "inputs"}, {"x": 1}),
        call("Job.__getitem__", {"key": "outputs"}, {"x": 1}),
    ]
    assert [one.result for one in with_inputs(calls, {"x": 9})[1:]] == [{"x": 1}, {"x": 1}]


def test_records_of_classes_of_their_own_are_shown_as_what_they_hold():
    held = {"a": {"state": {"b": 1}, "c": 2}, "d": {"$": "object", "state": 5}, "e": {"$": "object", "state": {"f": 6}}}
    inputs = {"$": "dict", "items": [[7, "x"], *held.items()]}
    assert captured_inputs([call("XFWorkerJob.job", result={"inputs": inputs})]) == {**held, "e": {"f": 6}}


def test_files_that_were_left_out_are_listed_once_with_their_sizes():
    file = {"omitted": "larger than 5 MB", "size": 7}
    calls = [call("f", {"path": {**PATH, "file": file}}, [{**PATH, "file": file}, PATH])]
    assert left_out(calls) == {"a.raw": "larger than 5 MB (7 bytes)"}


def test_what_an_image_of_a_file_stored_is_known_from_its_last_recorded_state():
    def state(name):
        return {"$image": {"files": [{**PATH, "name": name, "file": {"sha256": "a", "omitted": "large"}}, "no file"]}}

    def image(number, name):
        return {"$": "object", "id": number, "state": state(name)}

    upload = call("upload_omni_output", {"image": {"$": "object", "id": 3}, "level": 5})
    stored = StoredFile(key="a", omitted="large")
    assert stored_files([call("f", result=[image(3, "a.raw")]), upload]) == {"a.raw": stored}
    changed = [call("g", owner=3, after=state("b.raw")), call("g", owner=3), call("g", after=state("x"))]
    assert stored_files([call("f", {"x": image(3, "old")}), *changed, upload]) == {"b.raw": stored}
    assert stored_files([call("upload_omni_output", {"image": image(3, "c.raw")})]) == {"c.raw": stored}
    # What is not an object, what has no number, and what is not an image.
    unlike = [{**image(3, "x"), "$": "dict"}, {**image(3, "x"), "state": {}}, image(None, "x"), image(1, "x")]
    assert stored_files([call("f", result=unlike), upload]) == {}
    nothing = {"$": "object", "id": 3, "state": {"$image": {}}}
    assert stored_files([call("f", result=nothing), upload]) == {}


def test_files_that_were_stored_have_the_names_that_they_have_on_the_server():
    path = {**PATH, "file": {"sha256": "a"}}
    assert stored_files([call("upload_output_file", {"local_path": PATH})]) == {
        "a.raw": StoredFile(key=None, omitted="it was not there when it was stored")
    }
    assert stored_files([call("upload_userdata_file", {"local_path": path, "virtualpath": "x/b.raw"})]) == {
        "userdata/x/b.raw": StoredFile(key="a")
    }
    failed = call("upload_output_file", {"local_path": path}, raised={"$": "exception"})
    assert stored_files([failed, call("f", {"local_path": path})]) == {}
    assert stored_files([call("upload_output_file", {"local_path": {**path, "$": "dict"}})]) == {}


def test_references_to_objects_are_shown_with_the_data_that_they_had_last():
    first = {"$": "object", "id": 3, "state": {"label": "first", "$class": "x"}}
    reference, last = {"$": "object", "id": 3}, [call("g", owner=3, after={"label": "last"}), call("g", owner=3)]
    for calls in ([call("f", result=first)], [call("f", {"x": [first]})], [call("f", result={"x": first})]):
        assert with_data([reference], calls) == [{"label": "first"}]
        assert with_data([reference], [*calls, *last]) == [{"label": "last"}]
    # What is not an object, what is not known and what has no data stays as it is.
    others = [{**reference, "$": "dict"}, {"$": "object", "id": 4}, {"$": "object", "id": [3]}, {"id": 3}, 3]
    unlike = [{**first, "$": "dict", "id": 4}, {"$": "object", "id": 4}]
    assert with_data(others, [call("f", result=[first, *unlike])]) == others


def test_an_object_in_itself_is_shown_some_levels_deep():
    itself = [call("f", result={"$": "object", "id": 3, "state": {"again": {"$": "object", "id": 3}}})]
    shown, levels = with_data({"$": "object", "id": 3}, itself), 0
    while "again" in shown:
        shown, levels = shown["again"], levels + 1
    assert (levels, shown) == (8, {"$": "object", "id": 3})
