import json
import sys

import pytest

from xfworker.domain.errors import PackageError
from xfworker.domain.package import PackageFormat
from xfworker.services.packages.check import check_package
from xfworker.services.packages.template import new_package

METADATA = {"package_format": "XFP-TT1.0", "name": "Lab.Threshold", "version": "1.10.7.0"}
INTERFACE = {"inputs": [{"key": "image", "type": "Image"}], "outputs": [{"key": "n", "type": "Int"}]}


@pytest.fixture
def package(tmp_path):
    def make(metadata=METADATA, interface=INTERFACE, tasks=None, files=("main.py",)):
        for name, content in (("metadata.json", metadata), ("interface.json", interface), ("tasks.json", tasks)):
            if content is not None:
                text = content if isinstance(content, str) else json.dumps(content)
                (tmp_path / name).write_text(text, "utf-8")
        for name in files:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("print()\n")
        return tmp_path

    return make


def faults(folder):
    with pytest.raises(PackageError) as caught:
        check_package(folder)
    return list(caught.value.faults)


def test_a_task_type_package_is_read(package):
    found = check_package(package(files=("main.py", "models/net.bin", "__pycache__/main.cpython-311.pyc")))
    assert found.format is PackageFormat.TASK_TYPE
    assert found.script == "main.py"
    assert found.files == ("interface.json", "main.py", "metadata.json", "models/net.bin")
    assert found.archive_name == "Lab.Threshold-1.10.7.0.xfp"


def test_what_programs_leave_in_a_folder_is_no_part_of_the_package(package):
    left = ("__pycache__/a", ".git/config", ".venv/pyvenv.cfg", ".mypy_cache/a", ".ruff_cache/a", ".pytest_cache/a")
    found = check_package(package(files=("main.py", "a.pyc", "b.pyo", *left)))
    assert found.files == ("interface.json", "main.py", "metadata.json")


def test_metadata_of_4_mib_are_read_and_larger_ones_are_not(package):
    text = json.dumps(METADATA)
    padded = text + " " * ((4 << 20) - len(text))
    assert check_package(package(padded)).name == "Lab.Threshold"
    assert faults(package(padded + " ")) == ["metadata.json: is larger than 4194304 bytes"]


def test_all_that_is_wrong_is_in_the_message(package):
    folder = package({**METADATA, "name": "?", "version": "1"})
    with pytest.raises(PackageError) as caught:
        check_package(folder)
    head, *lines = str(caught.value).splitlines()
    assert head == f"{folder} is not a valid package:"
    assert lines == [f"  {fault}" for fault in caught.value.faults]
    assert [line.partition(": ")[0] for line in lines] == ["  metadata.json"] * 2


@pytest.mark.parametrize(("length", "said"), [(58, f"'{'x' * 58}'"), (59, f"'{'x' * 56}...")])
def test_the_name_of_a_file_that_is_not_there_is_cut_where_it_is_long(package, length, said):
    found = faults(package({**METADATA, "description_filename": "x" * length}))
    assert found == [f"metadata.json: description_filename: there is no file {said} in the package"]


def test_the_only_script_is_the_script_whatever_its_name(package):
    assert check_package(package(files=("segment.py",))).script == "segment.py"


def test_two_scripts_without_a_main_are_ambiguous(package):
    assert any(fault.startswith("main.py: ") for fault in faults(package(files=("a.py", "b.py"))))


def test_every_fault_is_listed_with_its_path(package):
    metadata = {
        "package_format": "XFP-TT1.0",
        "name": "Lab Threshold!",
        "version": "1.2",
        "display_name": "x" * 51,
        "summary": "two\nlines",
        "author": {"name": "A", "phone": "1"},
        "description_filename": "readme.md",
    }
    interface = {
        "inputs": [
            {"key": "a", "type": "Float", "default": "x", "minimum": 3, "maximum": 1},
            {"key": "a", "type": "Image", "enum": ["b"], "supported_modes": ["output", "magic"]},
            {"type": "Int"},
        ],
        "outputs": {},
    }
    found = faults(package(metadata, interface))
    expected = (
        "metadata.json: name: ",
        "metadata.json: version: ",
        "metadata.json: display_name: ",
        "metadata.json: summary: ",
        "metadata.json: author: ",
        "metadata.json: description_filename: there is no file 'readme.md'",
        "interface.json: inputs[0].default: expected a finite number (Float), got 'x'",
        "interface.json: inputs[0].minimum: 3 is more than the maximum 1",
        "interface.json: inputs[1].key: 'a' is declared twice",
        "interface.json: inputs[1].enum: is for String, not for Image",
        "interface.json: inputs[1].supported_modes[1]: 'magic' is not one of",
        "interface.json: inputs[2]: 'key' is a required property",
        "interface.json: outputs: {} is not of type 'array'",
    )
    for start in expected:
        assert any(fault.startswith(start) for fault in found), (start, found)


@pytest.mark.parametrize(
    ("name", "version"),
    [("Lab.A\n", "1.0.0.0"), ("", "1.0.0.0"), ("a" * 51, "1.0.0.0"), ("Lab.A", "1.0.0.0\n"), ("Lab.A", "1.0.0.x")],
)
def test_names_and_versions_are_exact(package, name, version):
    assert faults(package({**METADATA, "name": name, "version": version}))


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"a": 1} x', "[" * 100_000])
def test_broken_json_is_a_fault_of_its_file(package, text):
    assert all(fault.startswith("metadata.json") for fault in faults(package(metadata=text)) if "main" not in fault)


def test_a_missing_interface_is_said(package):
    assert "interface.json: is missing" in faults(package(interface=None))


def test_unknown_metadata_keys_are_let_through(package):
    assert check_package(package({**METADATA, "future": {"x": 1}})).metadata["future"] == {"x": 1}


SOURCES = [
    ({"mode": "none"}, None),
    ({"mode": "fixed", "fixed_value": 3}, None),
    ({"mode": "output", "task": 0, "key": "segments"}, None),
    ({"mode": "define_on_first", "template": None}, None),
    ({"mode": "ui"}, None),
    ({"mode": "none", "key": "x"}, "Additional properties"),
    ({"mode": "fixed"}, "'fixed_value' is a required property"),
    ({"mode": "fixed", "fixed_value": {}}, "image.fixed_value: "),
    ({"mode": "output", "task": 1, "key": "x"}, "is not an earlier task"),
    ({"mode": "output", "task": -1, "key": "x"}, "task"),
    ({"mode": "output", "task": 0}, "'key' is a required property"),
    ({"mode": "define_on_first", "template": {}}, "template"),
    ({"mode": "magic"}, "'magic' is not one of"),
    ({}, "'mode' is a required property"),
]


@pytest.mark.parametrize(("source", "fault"), SOURCES)
def test_sources_of_a_workflows_inputs(package, source, fault):
    task = {"task_type": {"name": "Lab.A", "version": "1.0.0.0"}, "inputs": {}}
    folder = package(
        {**METADATA, "package_format": "XFP-WF1.0"},
        interface=None,
        tasks={"tasks": [task, {**task, "inputs": ({} if fault is None else {"bad": {}}) | {"image": source}}]},
        files=(),
    )
    if fault is None:
        assert len(check_package(folder).tasks) == 2
    else:
        found = faults(folder)
        assert any(fault in text and text.startswith("tasks.json: tasks[1].inputs.image") for text in found), found


def test_a_dependency_package_names_its_parameter_types(package):
    metadata = {
        **METADATA,
        "package_format": "XFP-DEP1.0",
        "install": "%xfpip% install numpy",
        "dependencies": [{"name": "Core.Host.Python3", "version": "1.10.7.0"}],
        "parameter_types": [{"name": "Image", "$ref": "parameter_type_image.json"}],
    }
    assert faults(package(metadata, interface=None, files=())) == [
        "metadata.json: parameter_types[0].$ref: there is no file 'parameter_type_image.json' in the package"
    ]
    assert (
        check_package(package(metadata, interface=None, files=("parameter_type_image.json",))).name == METADATA["name"]
    )


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_are_refused(package, tmp_path):
    folder = package()
    (folder / "secret.txt").symlink_to("/etc/passwd")
    (folder / "folder").symlink_to("/etc")
    found = faults(folder)
    assert "secret.txt: is a link; packages hold files only" in found
    assert "folder: is a link; packages hold files only" in found


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="the file system takes no such names")
def test_names_that_are_not_safe_everywhere_are_refused(package):
    found = faults(package(files=("main.py", "NUL.txt", "a:b.txt", "Data/x", "data/X")))
    assert any("NUL.txt" in fault for fault in found)
    assert any("a:b.txt" in fault for fault in found)
    assert any("differs only in upper and lower case" in fault for fault in found)


def test_a_task_type_for_people_needs_no_script(package):
    assert check_package(package({**METADATA, "kind": "Interactive"}, files=())).script is None
    assert faults(package({**METADATA, "kind": "Processing"}, files=())) != []


def test_a_new_dependency_package_says_that_its_placeholder_is_to_be_replaced(tmp_path):
    new_package(tmp_path / "new", "Lab.Tools", PackageFormat.DEPENDENCY)
    (fault,) = faults(tmp_path / "new")
    assert fault.startswith("metadata.json: install: PACKAGE")
    metadata = (tmp_path / "new" / "metadata.json").read_text("utf-8").replace("PACKAGE", "numpy")
    (tmp_path / "new" / "metadata.json").write_text(metadata, "utf-8")
    assert check_package(tmp_path / "new").name == "Lab.Tools"
