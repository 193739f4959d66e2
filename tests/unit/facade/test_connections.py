"""A connection of the wrong kind is refused by name, whichever function gets it."""

import inspect

import pytest

import xfworkerutil
from xfworker.api.facade import network
from xfworker.api.facade.worker_job import XFWorkerJob
from xfworker.domain.errors import UsageError

SEQUENCE = {"type": "Sequence", "task_serial": 1, "key": "volume"}
RECORD = {"serial": 1, "occ_lock_version": 1}
ARGUMENTS = {
    "parameter": {"type": "CSV", "source": "job_result", "job_serial": 1, "filename": "a.csv"},
    "sequence": SEQUENCE,
    "sequence1": SEQUENCE,
    "sequence2": SEQUENCE,
    "scopes": [("read", "a/")],
    "serial": 1,
    "task_metadata": {},
    "task_type_metadata": {"name": "A", "version": "1.0.0.0"},
    "task_type_interface": {},
}


def takes(function, name):
    return inspect.isfunction(function) and name in inspect.signature(function).parameters


FUNCTIONS = [name for name in xfworkerutil.__all__ if takes(getattr(xfworkerutil, name), "conn")]
METHODS = [name for name, found in inspect.getmembers(XFWorkerJob) if takes(found, "connection")]


def arguments_of(function):
    """Give a good value for every argument that must be given, but for the connection."""
    required = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    by_type = {"task": RECORD, "task_type": RECORD, "job": RECORD, "workflow": RECORD, "project": RECORD}
    values = {**ARGUMENTS, **by_type}
    return {
        name: values.get(name, 1 if name.endswith(("serial", "version")) else "text")
        for name in required
        if name not in {"conn", "connection"}
    }


@pytest.fixture
def sns(tmp_path):
    with xfworkerutil.get_sns_server_connection({"folder": str(tmp_path)}) as connection:
        yield connection


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_for_the_xf_server_refuses_a_connection_to_an_sns_server(sns, name):
    function = getattr(xfworkerutil, name)
    with pytest.raises(UsageError, match="not SnsConnection <connection to"):
        function(sns, **arguments_of(function))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_of_the_job_refuses_a_connection_to_an_sns_server(worker, sns, name):
    method = getattr(worker, name)
    with pytest.raises(UsageError, match="not SnsConnection <connection to"):
        method(connection=sns, **arguments_of(method))


@pytest.mark.parametrize("name", [name for name in network.__all__ if takes(getattr(network, name), "token")])
def test_a_function_that_takes_a_token_refuses_a_connection(worker, name):
    function = getattr(network, name)
    with (
        worker.server_connection() as connection,
        pytest.raises(UsageError, match=r"must be a file token, .* not ServerConnection"),
    ):
        function(connection, **{name: "x" for name in arguments_of(function) if name != "token"})


def test_a_connection_to_the_xf_server_names_no_sns_server(worker):
    with worker.server_connection() as connection, pytest.raises(UsageError, match="not ServerConnection"):
        xfworkerutil.get_sns_server_connection(connection)
