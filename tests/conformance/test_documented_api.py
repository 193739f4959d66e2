"""Whether the module's signatures are the documented ones. A drift fails with one line that says what drifted."""

import ast
import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import xfworkerutil
from xfworker.api.composition.module_folders import SCRIPT_MODULE_FOLDER
from xfworker.api.facade.omni import Image

ROOT = Path(__file__).parents[2]
CLASSES = ("ActivityLogLevel", "TemporaryWorkingDirectory", "XFWorkerArguments", "XFWorkerJob")
ARGUMENTS = {"job_serial": "int", "server_auth": "str", "server_host": "str", "server_port": "str"}


def documented(section):
    """Read a section of the table of the documented API."""
    text = Path(__file__).with_name("documented_api.txt").read_text()
    return text.split(f"[{section}]\n", 1)[1].split("\n\n", 1)[0].splitlines()


FUNCTIONS = documented("functions")
JOB = documented("XFWorkerJob")
WORKING_DIRECTORY = documented("TemporaryWorkingDirectory")
NAMES = [*CLASSES, *(line.split("(", 1)[0] for line in FUNCTIONS)]


def shown(annotation):
    """Write an annotation as the reference does."""
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, str):
        return annotation
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None:
        return getattr(annotation, "__name__", str(annotation)).removeprefix("typing.")
    if origin in (typing.Union, type(int | str)):
        return " | ".join(map(shown, args))
    name = annotation.__name__ if hasattr(annotation, "__name__") else str(origin)
    if name == "AbstractContextManager":
        name = "ContextManager"
        args = args[:1]
    # ``dict[...]`` and ``typing.Dict[...]`` are told apart, as the reference does.
    if not str(annotation).startswith("typing.") and isinstance(origin, type):
        name = origin.__name__
    inner = ", ".join("..." if arg is ... else shown(arg) for arg in args)
    return f"{name}[{inner}]"


ADDED = {"get_ipl_image_path": {"allow_calibration_loss"}}
"""Parameters beyond the documented ones: by keyword only, and with a default, so that no documented call changes."""


def signature_line(name, function, *, method):
    """Write a function's signature as the reference does."""
    signature = inspect.signature(function)
    parts, keyword_only = [], False
    for index, parameter in enumerate(signature.parameters.values()):
        if method and index == 0:
            assert parameter.name == "self"
            continue
        if parameter.name in ADDED.get(name, ()):
            assert parameter.kind is parameter.KEYWORD_ONLY
            assert parameter.default is not parameter.empty
            continue
        assert parameter.kind is not parameter.POSITIONAL_ONLY, f"{name}: {parameter.name} is positional-only"
        if parameter.kind is parameter.VAR_KEYWORD:
            parts.append(f"**{parameter.name}")
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            parts.append("*")
        text = f"{parameter.name}: {shown(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            is_level = isinstance(parameter.default, xfworkerutil.ActivityLogLevel)
            text += f" = {parameter.default if is_level else repr(parameter.default)}"
        parts.append(text)
    return f"{name}({', '.join(parts)}) -> {shown(signature.return_annotation)}"


def drift(found, line):
    """Say in one line what differs between a signature and the documented one; an empty text where nothing does."""
    if found == line:
        return ""
    have, documented = (re.split(r"(?<=\()|, (?=\w+:|\*)|(?=\) -> )", text) for text in (found, line))
    lost, new = [part for part in documented if part not in have], [part for part in have if part not in documented]
    if not lost and not new:
        lost, new = documented, have
    return (
        f"{line.split('(')[0]} drifted: documented is {', '.join(lost) or 'nothing'}; it is {', '.join(new) or 'gone'}"
    )


def require_documented(owner, line, *, method):
    name = line.split("(", 1)[0]
    function = getattr(owner, name, None)
    said = drift(signature_line(name, function, method=method), line) if function else f"{name} is gone"
    if said:
        pytest.fail(said, pytrace=False)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("f(a: int, *, b: Dict[str, Any] = {}) -> None", ""),
        ("f(a: int, *, b: Dict[str, Any] = {}) -> str", "f drifted: documented is ) -> None; it is ) -> str"),
        ("f(a: str, *, b: Dict[str, Any] = {}) -> None", "f drifted: documented is a: int; it is a: str"),
        ("f(x: int, *, b: Dict[str, Any] = {}) -> None", "f drifted: documented is a: int; it is x: int"),
        ("f(a: int, b: Dict[str, Any] = {}) -> None", "f drifted: documented is *; it is gone"),
        (
            "f(a: int, *, b: Dict[str, Any] = None) -> None",
            "f drifted: documented is b: Dict[str, Any] = {}; it is b: Dict[str, Any] = None",
        ),
        ("f(a: int, *, b: Dict[str, Any] = {}, c: int) -> None", "f drifted: documented is nothing; it is c: int"),
    ],
)
def test_a_drift_of_any_kind_is_told_in_one_line(found, said):
    assert drift(found, "f(a: int, *, b: Dict[str, Any] = {}) -> None") == said


@pytest.mark.parametrize("line", FUNCTIONS, ids=lambda line: line.split("(")[0])
def test_a_function_has_the_documented_signature(line):
    require_documented(xfworkerutil, line, method=False)


@pytest.mark.parametrize("line", JOB, ids=lambda line: line.split("(")[0])
def test_a_method_of_the_job_has_the_documented_signature(line):
    require_documented(xfworkerutil.XFWorkerJob, line, method=True)


@pytest.mark.parametrize("line", WORKING_DIRECTORY, ids=lambda line: line.split("(")[0])
def test_a_method_of_the_working_directory_has_the_documented_signature(line):
    require_documented(xfworkerutil.TemporaryWorkingDirectory, line, method=True)


@pytest.mark.parametrize(("name", "kind"), ARGUMENTS.items())
def test_an_argument_is_a_property_of_the_documented_type(name, kind):
    found = inspect.getattr_static(xfworkerutil.XFWorkerArguments, name)
    assert isinstance(found, property)
    assert shown(inspect.signature(found.fget).return_annotation) == kind


def test_the_constructors_take_what_is_documented():
    assert str(inspect.signature(xfworkerutil.TemporaryWorkingDirectory)) in {"(prefix: str)", "(prefix: str) -> None"}
    assert not inspect.signature(xfworkerutil.XFWorkerArguments).parameters
    job = inspect.signature(xfworkerutil.XFWorkerJob).parameters
    assert [(parameter.name, parameter.kind, parameter.default) for parameter in job.values()] == [
        ("session", inspect.Parameter.KEYWORD_ONLY, None)
    ]


def test_the_counts_are_the_documented_ones():
    assert len(FUNCTIONS) == 39
    assert len(JOB) == 55
    assert len(WORKING_DIRECTORY) == 5


def test_the_log_level_is_an_enumeration_with_info():
    assert xfworkerutil.ActivityLogLevel.INFO.name == "INFO"
    assert xfworkerutil.ActivityLogLevel("INFO") is xfworkerutil.ActivityLogLevel.INFO


def test_the_module_offers_the_documented_names_and_no_others():
    assert sorted(xfworkerutil.__all__) == sorted(NAMES)
    assert set(NAMES) <= set(dir(xfworkerutil))
    for name in NAMES:
        assert getattr(xfworkerutil, name) is not None


def test_type_checkers_see_every_symbol_where_it_lives():
    tree = ast.parse((SCRIPT_MODULE_FOLDER / "xfworkerutil-stubs" / "__init__.pyi").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    exported = {alias.asname: alias.name for node in imports for alias in node.names}
    homes = {name: getattr(xfworkerutil, name).__module__ for name in NAMES}
    assert homes == {alias.name: node.module for node in imports for alias in node.names}
    assert exported == {name: name for name in NAMES}


def test_a_name_that_is_not_there_is_an_error_as_pythons_own():
    with pytest.raises(AttributeError, match="module 'xfworkerutil' has no attribute 'get_xf_jop'"):
        _ = xfworkerutil.get_xf_jop


def test_everything_is_imported_by_a_star():
    code = "from xfworkerutil import *\nassert callable(get_xf_job) and callable(XFWorkerJob)\n"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_every_symbol_is_described():
    for name in NAMES:
        assert inspect.getdoc(getattr(xfworkerutil, name)), name
    for line in JOB:
        name = line.split("(", 1)[0]
        assert inspect.getdoc(getattr(xfworkerutil.XFWorkerJob, name)), name


def test_annotations_can_be_resolved():
    for name in NAMES:
        typing.get_type_hints(getattr(xfworkerutil, name))
    for line in JOB:
        typing.get_type_hints(getattr(xfworkerutil.XFWorkerJob, line.split("(", 1)[0]), localns={"Image": Image})


def mutable_defaults():
    for owner, table in ((xfworkerutil, FUNCTIONS), (xfworkerutil.XFWorkerJob, JOB)):
        for line in table:
            function = getattr(owner, line.split("(", 1)[0])
            for parameter in inspect.signature(function).parameters.values():
                if isinstance(parameter.default, dict | list):
                    yield function, parameter


def test_documented_mutable_defaults_are_there_and_empty():
    found = [(function.__name__, parameter.name) for function, parameter in mutable_defaults()]
    assert sorted(found) == [
        ("create_activity_log_event", "payload"),
        ("spawn_xf_job_basic", "inputs"),
        ("spawn_xf_job_basic", "outputs"),
        ("spawn_xf_task_basic", "task_inputs"),
        ("spawn_xf_task_basic", "task_metadata"),
    ]
    assert all(not parameter.default for _, parameter in mutable_defaults())


def test_every_symbol_has_its_line_in_the_documentation():
    text = (ROOT / "docs" / "api.md").read_text()
    rows = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    named = set(re.findall(r"`\.?(\w+)`", rows))
    expected = {*NAMES, *(line.split("(", 1)[0] for line in (*JOB, *WORKING_DIRECTORY))}
    assert expected - named == set()
