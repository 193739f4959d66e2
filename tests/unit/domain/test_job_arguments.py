"""What a script is told by its environment."""

import pytest

from xfworker.domain.errors import ConfigurationError
from xfworker.domain.job_arguments import JobArguments, read_job_arguments

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
