"""What the page makes without a browser: texts, tables, forms, documents of boards."""

import re
from datetime import UTC, datetime
from importlib.resources import files

import pytest

from xfworker.adapters.page.board_document import board_document
from xfworker.adapters.page.form_fields import form_fields, read_form
from xfworker.adapters.page.routes.tables import table_document
from xfworker.adapters.page.session import own_path
from xfworker.adapters.page.static_files import StaticFiles
from xfworker.adapters.page.strings import strings
from xfworker.adapters.page.values import shown_values
from xfworker.domain.board import Board, JobCell
from xfworker.domain.errors import InvalidParameter
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Run, Task, TaskType, Workflow
from xfworker.domain.workflow_graph import Step

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)

PAGE = files("xfworker.adapters.page")


def test_every_text_that_a_template_or_script_names_is_there():
    templates = "".join(item.read_text("utf-8") for item in PAGE.joinpath("templates").iterdir())
    scripts = "".join(
        item.read_text("utf-8") for item in PAGE.joinpath("static").iterdir() if item.name.endswith(".js")
    )
    named = {tuple(match) for match in re.findall(r"\bt\.(\w+)\.(\w+)", templates)}
    named |= {("script", name) for name in re.findall(r"\bstrings\.(?!js\b)(\w+)", scripts)}
    texts = strings()
    missing = sorted(f"{section}.{name}" for section, name in named if name not in texts.get(section, {}))
    assert missing == []


def test_static_files_are_those_of_their_list_and_change_their_address_with_their_content():
    static = StaticFiles.of_package()
    assert b"export default" in static.contents["strings.js"]
    changed = StaticFiles({**static.contents, "page.js": b""}, "")
    assert changed.contents != static.contents
    assert re.fullmatch(r"/static/[0-9a-f]{12}", static.base)


def test_no_page_without_volumes_is_over_100_kb():
    static = StaticFiles.of_package()
    apart = ("slices", "vendor/")
    total = sum(len(static.compressed(name)) for name in static.contents if not name.startswith(apart))
    total += max(len(static.compressed(f"vendor/{name}")) for name in ("uplot.min.js", "dagre.esm.js"))
    assert total < 100_000


@pytest.mark.parametrize(
    ("content", "columns", "numeric"),
    [
        (b"a,b\n1,x\n2,y\n", ["a", "b"], [True, False]),
        ("a;b\n1,5;2\n".encode("utf-8-sig"), ["a", "b"], [False, True]),
        ("größe\tn\n1\t2\n".encode("latin-1"), ["größe", "n"], [True, True]),
        (b"", [], []),
        (b"only\n", ["only"], [False]),
    ],
)
def test_a_csv_file_is_read_as_people_write_it(content, columns, numeric):
    document = table_document(content)
    assert (document["columns"], document["numeric"]) == (columns, numeric)


def test_of_the_beginning_of_a_file_the_broken_line_is_left_out():
    assert table_document(b"a,b\n1,2\n3", is_whole=False)["rows"] == [["1", "2"]]


INTERFACE = {
    "inputs": [
        {"key": "n", "type": "Int", "minimum": 1, "maximum": 9, "default": 3},
        {"key": "x", "type": "Float", "multipleOf": 0.5, "supported_modes": ["none"]},
        {"key": "side", "type": "String", "enum": ["left", "right"]},
        {"key": "note", "type": "String", "format": "multiline", "supported_modes": ["none"]},
        {"key": "scan", "type": "Image"},
    ]
}


def test_a_form_has_a_control_for_each_declared_input():
    fields = {field.key: field for field in form_fields(INTERFACE, "inputs")}
    controls = {key: field.control for key, field in fields.items()}
    assert controls == {"n": "number", "x": "number", "side": "choice", "note": "lines", "scan": "files"}
    assert (fields["n"].value, fields["n"].step, fields["n"].minimum, fields["n"].maximum) == ("3", "1", 1, 9)
    assert (fields["x"].step, fields["x"].required) == ("0.5", False)
    assert fields["side"].required
    assert fields["side"].choices == (("left", "left"), ("right", "right"))


def test_what_is_filled_in_becomes_values_of_the_declared_types():
    entered = {"n": "4", "x": "", "side": "left", "note": "a\r\nb", "scan": '["userdata/r/s.raw","userdata/r/s.omni"]'}
    values = read_form(INTERFACE, "inputs", entered)
    assert (values["n"], values["x"], values["note"]) == (4, None, "a\nb")
    scan = {"type": "Image", "source": "userdata", "virtualpath": "r/s.omni", "filename": "s.omni"}
    assert values["scan"] == {**scan, "filenames": ["s.raw"]}


def test_all_that_is_not_of_its_type_is_said_at_once():
    with pytest.raises(InvalidParameter) as caught:
        read_form(INTERFACE, "inputs", {"n": "four", "x": "nan", "scan": '["job_result/../x"]'})
    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["inputs.n", "inputs.x", "inputs.scan"]


@pytest.mark.parametrize("value", [{"type": "Image", "source": "odd"}, {"type": 3}, [1], {"filename": "x"}, {}])
def test_values_of_any_shape_are_shown(value):
    [item] = shown_values({}, "outputs", {"a": value})
    assert item.kind in {"json", "image"}
    assert item.file is None


@pytest.mark.parametrize("text", ["", None, "x", "//a", "/\\a", "/a\nb", "https://a/b"])
def test_only_paths_of_this_site_are_gone_to(text):
    assert own_path(text) == "/"


def test_a_board_shows_the_newest_of_several_jobs_and_counts_them():
    def step(serial):
        task = Task(serial=serial, workflow_serial=1, task_type_serial=1, name=f"t{serial}")
        return Step(task=task, task_type=TaskType(name="t"))

    cells = (
        JobCell(1, 7, 5, JobState.RUNNING, NOON, 50.0, 60.0),
        JobCell(2, 8, 5, JobState.RUNNING, NOON, 10.0, None),
        JobCell(3, 7, 5, JobState.FAILED),
        JobCell(4, 8, None, JobState.DONE),
        JobCell(5, 99, 5, JobState.DONE),
    )
    runs = (Run(serial=5, workflow_serial=1, name="r", entity={"name": 3}), Run(serial=6, workflow_serial=1))
    board = Board(workflow=Workflow(project_serial=1), steps=(step(7), step(8)), runs=runs, cells=cells, read_at=NOON)
    document = board_document(board)
    assert [run[0] for run in document["runs"]] == [5, 6, 0]
    assert document["states"] == ["FR", "..", ".D"]
    assert document["live"] == [[5, 8, "R", 2, 10.0, round(NOON.timestamp()), None]]
    assert document["several"] == [[5, 7, 2]]
