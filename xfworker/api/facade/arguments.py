"""The arguments of a task script, read from the environment when they are asked for."""

import os

from xfworker.domain import job_arguments


class XFWorkerArguments:
    """
    The arguments that a worker gives to a script, as environment variables.

    Each is read when it is asked for. One that is missing or malformed raises
    :class:`~xfworker.domain.errors.ConfigurationError` with one sentence that names the variable.
    """

    __slots__ = ()

    @property
    def job_serial(self) -> int:
        """The serial of the current job (``XF_JOB_SERIAL``)."""
        return job_arguments.read_job_serial(os.environ)

    @property
    def server_auth(self) -> str:
        """The token for the XF Server (``XF_SERVER_AUTH``). It is a secret: do not print it."""
        return job_arguments.read_server_auth(os.environ)

    @property
    def server_host(self) -> str:
        """The name of the XF Server's host (``XF_SERVER_HOST``)."""
        return job_arguments.read_server_host(os.environ)

    @property
    def server_port(self) -> str:
        """The port of the XF Server (``XF_SERVER_PORT``), as a string."""
        return job_arguments.read_server_port(os.environ)
