"""What the environment passes to a task script: which job it is and where the server stands."""

from collections.abc import Mapping

from attrs import define, field

from xfworker.domain.errors import ConfigurationError

JOB_SERIAL = "XF_JOB_SERIAL"
SERVER_HOST = "XF_SERVER_HOST"
SERVER_PORT = "XF_SERVER_PORT"
SERVER_AUTH = "XF_SERVER_AUTH"
JOB_MEMORY = "XFWORKER_JOB_MEMORY_BYTES"
"""The variable in which a script finds the most memory that it and the processes that it starts may take together."""

_MEANING = {
    JOB_SERIAL: "the serial of the job that this script works on",
    SERVER_HOST: "the host name of the XF Server",
    SERVER_PORT: "the port of the XF Server",
    SERVER_AUTH: "the token for the XF Server",
}
_MAX_PORT = 65535
_MAX_DIGITS = 18


@define(frozen=True, kw_only=True)
class JobArguments:
    """
    The arguments of a task script.

    Attributes:
        job_serial: The serial of the current job.
        server_host: The server's host name; ``https://`` or ``http://`` before it states the scheme.
        server_port: The server's port, as the documented string.
        server_auth: The script's token; never shown.
    """

    job_serial: int
    server_host: str
    server_port: str
    server_auth: str = field(repr=False)

    def to_environment(self) -> dict[str, str]:
        """Give the environment variables that pass a script these arguments."""
        return {
            JOB_SERIAL: str(self.job_serial),
            SERVER_HOST: self.server_host,
            SERVER_PORT: self.server_port,
            SERVER_AUTH: self.server_auth,
        }


def read_job_arguments(environment: Mapping[str, str]) -> JobArguments:
    """
    Read all four variables.

    Raises:
        ConfigurationError: One is missing or malformed; the message names it and never shows the token.
    """
    return JobArguments(
        job_serial=read_job_serial(environment),
        server_host=read_server_host(environment),
        server_port=read_server_port(environment),
        server_auth=read_server_auth(environment),
    )


def read_job_serial(environment: Mapping[str, str]) -> int:
    """
    Read the job's serial: an integer of at least 1.

    Raises:
        ConfigurationError: It is missing or malformed.
    """
    text = _read(environment, JOB_SERIAL)
    number = _number(text)
    if number < 1:
        raise ConfigurationError(
            f"The environment variable {JOB_SERIAL} must be an integer above 0, not {text[:80]!r}."
        )
    return number


def read_server_host(environment: Mapping[str, str]) -> str:
    """
    Read the server's host name.

    Raises:
        ConfigurationError: It is missing or holds white space.
    """
    text = _read(environment, SERVER_HOST)
    if any(character.isspace() for character in text):
        raise ConfigurationError(f"The environment variable {SERVER_HOST} must be one host name, not {text!r}.")
    return text


def read_server_port(environment: Mapping[str, str]) -> str:
    """
    Read the server's port: a number from 1 to 65535, given as the documented string.

    Raises:
        ConfigurationError: It is missing or malformed.
    """
    text = _read(environment, SERVER_PORT)
    if not 1 <= _number(text) <= _MAX_PORT:
        raise ConfigurationError(
            f"The environment variable {SERVER_PORT} must be a port number from 1 to {_MAX_PORT}, not {text[:80]!r}."
        )
    return text


def read_server_auth(environment: Mapping[str, str]) -> str:
    """
    Read the script's token.

    Raises:
        ConfigurationError: It is missing, or holds characters that no token has; the value is not shown.
    """
    text = _read(environment, SERVER_AUTH)
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigurationError(
            f"The environment variable {SERVER_AUTH} must be a token of printable ASCII characters without spaces; "
            "its value is malformed (and not shown here)."
        )
    return text


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else 0


def _read(environment: Mapping[str, str], name: str) -> str:
    text = environment.get(name, "").strip()
    if not text:
        state = "empty" if name in environment else "not set"
        raise ConfigurationError(
            f"The environment variable {name} ({_MEANING[name]}) is {state}; a worker sets it, and on a laptop "
            "'xfworker run SCRIPT' does."
        )
    return text
