import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.files import reference_resource
from xfworker.domain.parameters import create_parameter, file_references, sequence_tasks
from xfworker.domain.version import format_version, parse_version


def result(name: str, **more: object) -> dict[str, object]:
    return {"source": "job_result", "job_serial": 7, "filename": name, **more}


IMAGE = create_parameter(
    "Image", **result("a.omni"), filenames=["a.raw", "b.raw"], additional_files=[result("c.raw")], size=[1, 2, 3]
)


def test_the_main_file_comes_first_and_files_beside_it_follow():
    assert [reference["filename"] for reference in file_references(IMAGE)] == ["a.omni", "a.raw", "b.raw", "c.raw"]
    assert [r["filename"] for r in file_references(IMAGE, only_additional=True)] == ["a.raw", "b.raw", "c.raw"]


def test_files_of_inner_composites_and_of_unknown_types_are_found_once_each():
    unknown = {"type": "Hologram", "layers": [{"deep": IMAGE}, IMAGE, 3, None]}

    assert len(file_references(unknown)) == 4


@pytest.mark.parametrize(
    "value", [None, 1, 2.5, "text", True, {}, {"type": "Entity", "uuid": "x"}, {"source": "moon", "filename": "x"}]
)
def test_what_has_no_files_gives_none(value):
    assert file_references(value) == []


def test_files_beside_a_file_in_userdata_lie_in_its_folder():
    parameter = {
        "type": "Image",
        "source": "userdata",
        "virtualpath": "scans/a.omni",
        "filename": "a.omni",
        "filenames": ["a.raw"],
    }

    assert file_references(parameter)[1] == {"source": "userdata", "virtualpath": "scans/a.raw", "filename": "a.raw"}


@pytest.mark.parametrize(
    ("named", "beside"),
    [
        ({"virtualpath": "x/a.omni"}, "x/a.raw"),
        ({"virtualpath": "x/a.omni", "filename": "a.omni"}, "x/a.raw"),
        ({"virtualpath": "x/", "filename": "a.omni"}, "x/a.raw"),
        ({"virtualpath": "x", "filename": "a.omni"}, "x/a.raw"),
        ({"virtualpath": "a.omni", "filename": "a.omni"}, "a.raw"),
    ],
)
def test_however_a_file_of_userdata_is_named_what_stands_beside_it_is_found(named, beside):
    (reference,) = file_references({"source": "userdata", **named, "filenames": ["a.raw"]}, only_additional=True)

    assert str(reference_resource(reference)) == f"userdata/{beside}"


def test_a_name_beside_a_file_cannot_leave_its_folder():
    with pytest.raises(InvalidParameter, match=r"\.\./x"):
        file_references(create_parameter("Image", **result("a.omni"), filenames=["../x"]))


def test_the_tasks_of_sequences_are_found_once_each_however_deep():
    def sequence(serial):
        return {"type": "Sequence", "task_serial": serial, "key": "out"}

    value = {"a": [sequence(2), {"b": sequence(1)}], "c": sequence(2), "d": sequence("3"), "e": {"task_serial": 4}}
    assert sequence_tasks(value) == [2, 1]
    assert sequence_tasks(3) == []


@pytest.mark.parametrize("look", [file_references, sequence_tasks])
@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}])
def test_a_parameter_has_at_most_64_levels(look, wrap):
    def nested(levels):
        return 1 if levels == 0 else wrap(nested(levels - 1))

    assert look(nested(64)) == []
    with pytest.raises(InvalidParameter, match="nested more than 64 deep"):
        look(nested(65))


def test_a_list_of_filenames_in_what_is_no_file_may_hold_files():
    assert file_references({"type": "Own", "filenames": [result("a.raw")]}) == [result("a.raw")]
    assert file_references(result("a.raw", virtualpath="x")) == [result("a.raw")]


def test_unset_fields_are_left_out_of_a_parameter():
    assert create_parameter("Video", filename="a.mp4", bitmap=None) == {"type": "Video", "filename": "a.mp4"}


def test_a_parameter_needs_a_type():
    with pytest.raises(InvalidParameter):
        create_parameter("")
    with pytest.raises(InvalidParameter, match="the type of a composite parameter is 'Image' already"):
        create_parameter("Image", type="Mesh")


@given(st.lists(st.integers(min_value=0), min_size=1).map(tuple))
def test_versions_survive_their_text(version):
    assert parse_version(format_version(version)) == version


def test_versions_sort_by_number():
    assert sorted(["1.10.0.0", "1.9.0.0", "1.2.0.0"], key=parse_version) == ["1.2.0.0", "1.9.0.0", "1.10.0.0"]


@pytest.mark.parametrize("text", ["", "1..2", "1.x", "v1", " 1", "1.-2", "\u0661.\u0662", None, 1.0])
def test_what_is_no_version_is_refused(text):
    with pytest.raises(InvalidParameter):
        parse_version(text)


@pytest.mark.parametrize("parts", [(), (1, -1), (1, "2"), (True,)])
def test_what_cannot_be_a_version_is_not_written(parts):
    with pytest.raises(InvalidParameter):
        format_version(parts)


def test_the_numbers_of_a_version_have_at_most_a_thousand_digits():
    longest, longer = "9" * 1000, "1" + "0" * 1000
    assert format_version(parse_version(f"1.{longest}")) == f"1.{longest}"
    with pytest.raises(InvalidParameter, match="is not a version"):
        parse_version(longer)
    with pytest.raises(InvalidParameter, match="at most 1000 digits"):
        format_version((1, 10**1000))
