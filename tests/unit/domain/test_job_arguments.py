"""What a script is told by its environment."""

import pytest

from xfworker.domain.errors import ConfigurationError
from xfworker.domain.job_arguments import JOB_MEMORY, JobArguments, read_job_arguments

GIVEN = {"XF_JOB_SERIAL": "17", "XF_SERVER_HOST": "lab", "XF_SERVER_PORT": "443", "XF_SERVER_AUTH": "secret-token"}


def test_the_environment_is_read_and_written():
    arguments = read_job_arguments(GIVEN)
    assert (arguments.job_serial, arguments.server_host, arguments.server_port) == (17, "lab", "443")
    assert arguments.to_environment() == GIVEN
    assert read_job_arguments({name: f" {value} " for name, value in GIVEN.items()}) == arguments


def test_the_token_is_never_shown():
    assert "secret-token" not in repr(
        JobArguments(job_serial=1, server_host="a", server_port="1", server_auth="secret-token")
    )


@pytest.mark.parametrize("name", list(GIVEN))
@pytest.mark.parametrize("value", [None, "", "  "])
def test_what_is_missing_is_named(name, value):
    environment = {key: item for key, item in GIVEN.items() if key != name} | ({} if value is None else {name: value})
    with pytest.raises(ConfigurationError, match=name) as caught:
        read_job_arguments(environment)
    assert "secret-token" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XF_JOB_SERIAL", "0"),
        ("XF_JOB_SERIAL", "1.5"),
        ("XF_JOB_SERIAL", "\u0661"),
        ("XF_JOB_SERIAL", "9" * 5000),
        ("XF_SERVER_HOST", "a b"),
        ("XF_SERVER_PORT", "0"),
        ("XF_SERVER_PORT", "65536"),
        ("XF_SERVER_PORT", "http"),
        ("XF_SERVER_AUTH", "to\nken"),
        ("XF_SERVER_AUTH", "tök"),
    ],
)
def test_what_is_malformed_is_named(name, value):
    with pytest.raises(ConfigurationError, match=name) as caught:
        read_job_arguments({**GIVEN, name: value})
    assert len(str(caught.value)) < 300
    if name == "XF_SERVER_AUTH":
        assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("XF_JOB_SERIAL", "the serial of the job that this script works on"),
        ("XF_SERVER_HOST", "the host name of the XF Server"),
        ("XF_SERVER_PORT", "the port of the XF Server"),
        ("XF_SERVER_AUTH", "the token for the XF Server"),
    ],
)
def test_what_is_missing_is_explained_and_whether_it_is_empty_is_said(name, meaning):
    others = {key: item for key, item in GIVEN.items() if key != name}
    for environment, state in ((others, "not set"), ({**others, name: " "}, "empty")):
        with pytest.raises(ConfigurationError, match=rf"{name} \({meaning}\) is {state};"):
            read_job_arguments(environment)


def test_the_smallest_and_the_largest_numbers_are_taken():
    read = read_job_arguments({**GIVEN, "XF_JOB_SERIAL": "1", "XF_SERVER_PORT": "1"})
    assert (read.job_serial, read.server_port) == (1, "1")
    assert read_job_arguments({**GIVEN, "XF_JOB_SERIAL": "9" * 18}).job_serial == 10**18 - 1
    for name, value in (("XF_JOB_SERIAL", "9" * 19), ("XF_SERVER_AUTH", "to ken")):
        with pytest.raises(ConfigurationError, match=name):
            read_job_arguments({**GIVEN, name: value})


def test_the_variable_of_a_jobs_memory_keeps_its_name():
    assert JOB_MEMORY == "XFWORKER_JOB_MEMORY_BYTES"
