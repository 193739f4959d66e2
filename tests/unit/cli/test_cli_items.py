import json

import pytest

from xfworker.adapters.images.registry import image_formats
from xfworker.api.cli.items import read_inputs
from xfworker.api.composition.input_files import is_table
from xfworker.api.demo.phantom import SIZE, write_phantom
from xfworker.domain.errors import UsageError

INTERFACE = {
    "inputs": [
        {"key": "count", "type": "Int", "minimum": 1},
        {"key": "level", "type": "Float", "default": 0.5},
        {"key": "name", "type": "String", "supported_modes": ["none", "ui"]},
        {"key": "flag", "type": "Bool", "default": False},
        {"key": "image", "type": "Image", "supported_modes": ["none", "ui"]},
        {"key": "table", "type": "CSV", "supported_modes": ["none", "ui"]},
    ],
    "outputs": [],
}


def read(*words, interface=None):
    return read_inputs(words, interface, image_formats())


def refused(*words, interface=None):
    with pytest.raises(UsageError) as caught:
        read(*words, interface=interface)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("0.25", 0.25),
        ("1e3", 1000.0),
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("nan", "nan"),
        ("1e999", "1e999"),
        ("9223372036854775807", 9223372036854775807),
        ("12345678901234567890", "12345678901234567890"),
        ("0123456789012345678901", "0123456789012345678901"),
        ("", ""),
        ("a=b:=c@d", "a=b:=c@d"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_without_an_interface_values_are_what_they_look_like(text, value):
    found = read(f"key={text}").values["key"]
    assert found == value
    assert type(found) is type(value)


def test_the_interface_types_values():
    values = read("count=3", "level=2", "name=007", "flag=yes", interface=INTERFACE).values
    assert values == {"count": 3, "level": 2.0, "name": "007", "flag": True}
    assert isinstance(values["level"], float)


def test_json_values_are_taken_as_they_are():
    assert read('pair:=["a", 1, null]', "none:=null").values == {"pair": ["a", 1, None], "none": None}


def test_all_faults_are_listed_at_once(tmp_path):
    text = refused(
        "count=many",
        "level:={",
        "colour=red",
        "flag@x.txt",
        f"image@{tmp_path}/none.aim",
        "noitem",
        "count=4",
        "name:=5",
        interface=INTERFACE,
    )
    for part in (
        "count: expected an integer (Int), got 'many'",
        "level: is not JSON",
        "colour: there is no such input; inputs are: count, level, name, flag, image, table",
        "flag: is of type Bool, so it takes a value (=), not a file (@)",
        "image: there is no file",
        "'noitem' is not an ITEM",
        "count: is given twice",
        "name: expected a string (String), got 5",
    ):
        assert part in text


def test_missing_required_inputs_are_named():
    assert "count: is required and was not given (Int)" in refused("level=1", interface=INTERFACE)


def test_ranges_are_checked():
    assert "count: 0 is below the minimum 1" in refused("count=0", interface=INTERFACE)


def test_an_image_is_one_by_content_not_by_name(tmp_path):
    path = tmp_path / "scan.txt"
    write_phantom(tmp_path / "p.aim")
    (tmp_path / "p.aim").rename(path)
    found = read(f"x@{path}").files["x"]
    assert (found.type, found.size) == ("Image", SIZE)


def test_what_is_not_an_image_is_refused_where_one_is_expected(tmp_path):
    path = tmp_path / "scan.aim"
    path.write_bytes(b"no image")
    assert "holds no image of a known format" in refused(f"image@{path}", "count=1", interface=INTERFACE)


def test_an_omni_brings_its_pixels(tmp_path):
    from xfworker.api.facade.omni import open_image

    write_phantom(tmp_path / "p.aim")
    image = open_image(tmp_path / "p.aim")
    segments = image.derive_segments(tmp_path / "seg.omni", tmp_path / "seg.raw")
    segments.pixels[:] = 1
    segments.save()
    found = read(f"x@{tmp_path / 'seg.omni'}").files["x"]
    assert [path.name for path in found.paths] == ["seg.omni", "seg.raw"]
    (tmp_path / "seg.raw").unlink()
    assert "seg.raw" in refused(f"x@{tmp_path / 'seg.omni'}")


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("x:=1e999", "x: an infinite number is not a JSON number"),
        ("x:=" + "[" * 100 + "]" * 100, "levels deep"),
        ("x=\udcff", "half of a surrogate pair"),
        ('x:={"a": NaN}', "x: is not JSON (NaN"),
    ],
)
def test_what_no_server_would_keep_is_refused_at_once(word, part):
    assert part in refused(word)


def test_a_folder_is_not_a_file(tmp_path):
    assert "is not a file" in refused(f"x@{tmp_path}")


@pytest.mark.parametrize(
    ("head", "suffix", "expected"),
    [
        (b"a,b\n1,2\n", ".txt", True),
        (b"a;b\r\n1;2\r\n", "", True),
        (b"a\tb\n1\t2\n", ".dat", True),
        (b"only one column\nof text\n", ".txt", False),
        (b"value\n1\n2\n", ".csv", True),
        (b'{"a": 1,\n"b": 2}\n', ".json", False),
        (b"import os, sys\nprint(1)\n", ".py", False),
        (b"a,b\n1,2\n\x00", ".csv", False),
        (b"", ".csv", False),
        ("größe,b\n1,2\n".encode(), ".txt", True),
        (b"\xff\xfe\x00,b", ".csv", False),
    ],
)
def test_tables_are_distinguished_from_other_files(head, suffix, expected):
    assert is_table(head, suffix) is expected


SEQUENCES = {"inputs": [{"key": "volumes", "type": "Sequence"}, {"key": "count", "type": "Int", "default": 1}]}


def test_a_sequence_takes_a_list_or_the_item_several_times(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    by_list = read("volumes:=[1, 2.5, null]", interface=SEQUENCES)
    assert by_list.sequences["volumes"].values == (1, 2.5, None)
    by_items = read("volumes=1", f"volumes@{tmp_path / 'a.csv'}", "volumes=x", interface=SEQUENCES)
    first, file, last = by_items.sequences["volumes"].values
    assert (first, file.type, last) == (1, "CSV", "x")
    assert by_items.keys == {"volumes"}


def test_a_script_without_an_interface_takes_a_sequence_that_says_so(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    values = json.dumps({"type": "Sequence", "values": [1, {"file": str(tmp_path / "a.csv")}]})
    found = read(f"x:={values}")
    number, file = found.sequences["x"].values
    assert (number, file.type, found.values) == (1, "CSV", {})
    assert "values of a sequence are a list" in refused('x:={"type": "Sequence", "values": 1}')


def test_outputs_of_earlier_jobs_and_tasks_are_named_by_their_serials(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = read("image@job:12:mask", "volumes@task:7:bone volume").earlier
    assert {key: (item.kind, item.serial, item.output) for key, item in found.items()} == {
        "image": ("job", 12, "mask"),
        "volumes": ("task", 7, "bone volume"),
    }
    assert "there is no file job:x:mask" in refused("image@job:x:mask")


def test_what_replaces_inputs_need_not_be_complete():
    assert read_inputs(["level=1"], INTERFACE, image_formats(), complete=False).values == {"level": 1.0}
    with pytest.raises(UsageError, match="level: expected a finite number"):
        read_inputs(["level=x"], INTERFACE, image_formats(), complete=False)
