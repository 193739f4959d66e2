"""Hundreds of bad calls: each is refused by an error of ours, and none of them changes anything."""

import inspect
import itertools
from pathlib import Path

import numpy as np
import pytest

import xfworkerutil
from xfworker.api.facade import network, xfsortorder
from xfworker.api.facade.worker_job import XFWorkerJob
from xfworker.domain.errors import XFWorkerError
from xfworker.domain.json_value import json_violations

ITSELF = {"type": "Image"}
ITSELF["image"] = ITSELF
JUNK = (
    None,
    True,
    -1,
    0,
    10**30,
    10**400,
    1.5,
    float("nan"),
    "",
    "x",
    "../../etc/passwd",
    "a\0b",
    "\ud800",
    "x" * 100_000,
    "9" * 5000,
    b"x",
    [],
    [None],
    [[1, 2, 3]],
    {},
    {"type": "Image"},
    {"type": "Image", "source": "job_result", "job_serial": "1/../2", "filename": "a"},
    {"type": "Image", "source": "job_result", "job_serial": 10**30, "filename": "a"},
    {"source": "userdata", "virtualpath": "../x", "filename": "y"},
    {"serial": -1, "occ_lock_version": None},
    {"serial": 1, "occ_lock_version": 10**30},
    {"type": "Image", "source": "job_result", "job_serial": 1, "filename": "a", "filenames": 5},
    ITSELF,
    {1: 2},
    object(),
    Path(".."),
    np.zeros(3),
    lambda: None,
)
ENDING = {"error", "switch_to_interactive_mode", "finish"}
FUNCTIONS = [
    name
    for name in xfworkerutil.__all__
    if inspect.isfunction(getattr(xfworkerutil, name)) and name != "create_parameter"
]
STARTING = {"dask_client"}
"""A call with nothing but None is a good one there, and starts processes."""
METHODS = [
    name
    for name, found in inspect.getmembers(XFWorkerJob, inspect.isfunction)
    if not name.startswith("_") and name not in ENDING | STARTING and len(inspect.signature(found).parameters) > 1
]


def calls(function, fixed):
    """Give calls in which one argument after the other, and all of them, are junk."""
    parameters = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD and parameter.name not in (*fixed, "save")
    ]
    for junk in JUNK:
        yield {**fixed, **{parameter.name: junk for parameter in parameters}}
    for parameter, junk in itertools.product(parameters, JUNK):
        others = {other.name: "x" for other in parameters if other is not parameter and other.default is other.empty}
        yield {**fixed, **others, parameter.name: junk}


def attempt(function, arguments):
    """Call and give what came back, or fail if it was no error of ours."""
    try:
        return function(**arguments)
    except XFWorkerError as refusal:
        message = str(refusal)
    except Exception as error:
        shown = {name: repr(value)[:80] for name, value in arguments.items() if name not in {"conn", "connection"}}
        raise AssertionError(f"{function.__name__}({shown}) raised {type(error).__name__}: {error!r:.200}") from error
    assert 0 < len(message) < 5000, function.__name__
    return None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_refuses_junk(worker, name):
    function = getattr(xfworkerutil, name)
    with worker.server_connection() as connection:
        fixed = {"conn": connection} if "conn" in inspect.signature(function).parameters else {}
        for arguments in calls(function, fixed):
            attempt(function, arguments)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_refuses_junk(worker, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    method = getattr(worker, name)
    before = dict(worker.job)
    with worker.server_connection() as connection:
        fixed = {"connection": connection} if "connection" in inspect.signature(method).parameters else {}
        for arguments in calls(method, fixed):
            attempt(method, arguments)
    assert worker.job["serial"] == before["serial"]


@pytest.mark.parametrize("name", ["workers", "threads_per_worker", "jobqueue"])
def test_a_cluster_refuses_junk_before_a_process_is_started(worker, name):
    if name == "jobqueue":
        pytest.importorskip("dask")  # what else is wrong is said before its absence
    for junk in JUNK[1:]:
        with pytest.raises(XFWorkerError, match="dask_client: "):
            worker.dask_client(**{name: junk})


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: repr(junk).partition(" at 0x")[0][:30])
def test_the_endings_refuse_junk_or_end(script_platform, junk):
    worker = XFWorkerJob(session=script_platform.start())
    attempt(worker.finish, {"outputs": junk})
    attempt(worker.finish, {"outputs": {"volume": junk, "label": junk}})
    attempt(worker.finish, {"outputs": {"volume": 1, "label": None}, "units": junk})
    worker = XFWorkerJob(session=script_platform.start())
    with pytest.raises(SystemExit):
        worker.error(junk)
    assert "error_message" in script_platform.job(worker.job["serial"]).metadata


@pytest.mark.parametrize(
    "function",
    [*(getattr(network, name) for name in network.__all__), *(getattr(xfsortorder, n) for n in xfsortorder.__all__)],
)
def test_the_modules_beside_refuse_junk(worker, function, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with worker.server_connection() as connection:
        token = xfworkerutil.get_xf_userdata_token(connection, [(verb, "junk/") for verb in ("read", "list", "write")])
    fixed = {"token": token} if "token" in inspect.signature(function).parameters else {}
    for arguments in (*calls(function, {}), *calls(function, fixed)):
        attempt(function, arguments)


def test_what_no_reader_of_json_could_hold_is_refused_with_its_path(worker):
    with pytest.raises(XFWorkerError, match=r"outputs\.volume: a number of more than 308 digits is too large"):
        worker.finish({"volume": 10**400})
    assert list(json_violations({"outputs": {"volume": -(10**400)}})) == [
        "outputs.volume: a number of more than 308 digits is too large"
    ]


def test_a_parameter_has_one_type():
    with pytest.raises(XFWorkerError, match="the type of a composite parameter is 'Image' already"):
        xfworkerutil.create_parameter("Image", type="Mesh")


def test_no_message_is_no_error_message(worker):
    with pytest.raises(XFWorkerError, match="clear_error_message"):
        worker.set_error_message(None)
    assert "error_message" not in worker.job["metadata"]


def test_file_names_may_be_given_as_paths(worker):
    made = worker.create_output_image(Path("seg.omni"), (1, 2, 3), [Path("seg.raw")])
    assert (made["filename"], made["filenames"]) == ("seg.omni", ["seg.raw"])


def test_what_only_looks_like_file_names_names_no_file():
    main = {"source": "job_result", "job_serial": 1, "filename": "a"}
    for other in ("abc", 5, {"x": 1}):
        assert xfworkerutil.get_parameter_file_references({"type": "New", **main, "filenames": other}) == [main]
