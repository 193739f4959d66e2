"""The right to touch files of the file store."""

from typing import Any, List, Tuple

from attrs import define, field, fields

from xfworker.api.facade.connection import Connection, connected
from xfworker.api.facade.functions.record_access import checked_serial
from xfworker.domain.errors import InvalidParameter, PermissionDenied, UsageError
from xfworker.domain.files import (
    AuthorizationToken,
    Scope,
    record_resource,
    reference_resource,
    userdata_resource,
)
from xfworker.domain.parameters import file_references
from xfworker.ports.file_store import FileStore

_LOOK = ("read", "list")
_WORK = ("read", "list", "write")


@define(frozen=True, kw_only=True)
class StoreToken(AuthorizationToken):
    """
    A token that knows the store which honours it, so that it is all that the functions of ``network`` need.

    Attributes:
        files: The file store.
    """

    files: FileStore = field(repr=False, eq=False)


def get_parameter_file_token(conn: Connection, parameter: dict) -> AuthorizationToken:  # type: ignore[type-arg]  # documented as dict
    """
    Ask for the right to read all files of a parameter, whatever its type.

    Raises:
        InvalidParameter: The parameter has no files.
    """
    references = file_references(parameter)
    if not references:
        raise InvalidParameter(f"get_parameter_file_token: the parameter names no files: {parameter!r:.200}")
    resources = dict.fromkeys(reference_resource(reference) for reference in references)
    return _token(conn, [Scope("read", resource) for resource in resources])


def get_xf_job_result_token(conn: Connection, job_serial: int | str, filename: str = None) -> AuthorizationToken:
    """
    Ask for the right to read (and, where the caller may, to write) the output files of a job, or one of them.

    Raises:
        RecordNotFound: There is no such job.
        PermissionDenied: The caller may not see it.
    """
    serial = checked_serial(job_serial, "get_xf_job_result_token: job_serial")
    resource = record_resource("job_result", serial, filename)
    try:
        return _token(conn, [Scope(verb, resource) for verb in _WORK])
    except PermissionDenied:
        return _token(conn, [Scope(verb, resource) for verb in _LOOK])


def get_xf_job_log_token(conn: Connection, job_serial: int | str, filename: str = None) -> AuthorizationToken:
    """
    Ask for the right to read the log files of a job, or one of them.

    Raises:
        PermissionDenied: The caller may not see the job.
    """
    return _reading(conn, "job_log", job_serial, filename)


def get_xf_task_config_token(conn: Connection, task_serial: int | str, filename: str = None) -> AuthorizationToken:
    """
    Ask for the right to read the configuration files of a task, or one of them.

    Raises:
        PermissionDenied: The caller may not see the task.
    """
    return _reading(conn, "task_config", task_serial, filename)


def get_xf_task_type_config_token(
    conn: Connection, task_type_serial: int | str, filename: str = None
) -> AuthorizationToken:
    """
    Ask for the right to read the configuration files of a task type, or one of them.

    Raises:
        PermissionDenied: The caller may not.
    """
    return _reading(conn, "task_type_config", task_type_serial, filename)


def get_xf_workflow_config_token(
    conn: Connection, workflow_serial: int | str, filename: str = None
) -> AuthorizationToken:
    """
    Ask for the right to read the configuration files of a workflow, or one of them.

    Raises:
        PermissionDenied: The caller may not see the workflow.
    """
    return _reading(conn, "workflow_config", workflow_serial, filename)


def get_xf_dependency_package_config_token(
    conn: Connection, dependency_package_serial: int | str, filename: str = None
) -> AuthorizationToken:
    """
    Ask for the right to read the configuration files of a dependency package, or one of them.

    Raises:
        PermissionDenied: The caller may not.
    """
    return _reading(conn, "dependency_package_config", dependency_package_serial, filename)


def get_xf_userdata_token(conn: Connection, scopes: List[Tuple[str, str]]) -> AuthorizationToken:
    """
    Ask for the right to touch user data.

    Args:
        conn: The connection.
        scopes: Pairs of a verb (``read``, ``write``, ``list``, ``delete``) and a path in user data, such as
            ``[("list", "scans/2024/")]``. A right to a folder is one to all that lies under it.

    Raises:
        FileError: A verb is not known, or the list is empty or malformed.
        PermissionDenied: The caller may not; the message names the scope.
    """
    if isinstance(scopes, str) or not isinstance(scopes, list | tuple) or not scopes:
        raise UsageError(f"get_xf_userdata_token takes a list of pairs (verb, virtual path), not {scopes!r:.200}")
    asked = []
    for scope in scopes:
        if isinstance(scope, str) or not isinstance(scope, list | tuple) or len(scope) != 2:  # noqa: PLR2004  a pair
            raise UsageError(f"get_xf_userdata_token: a scope is a pair (verb, virtual path), not {scope!r:.200}")
        verb, virtualpath = scope
        if not isinstance(verb, str) or not isinstance(virtualpath, str):
            raise UsageError(f"get_xf_userdata_token: a scope is a pair of strings, not {scope!r:.200}")
        asked.append(Scope(verb, userdata_resource(virtualpath)))
    return _token(conn, asked)


def _reading(conn: Any, source: str, serial: Any, filename: Any) -> AuthorizationToken:
    resource = record_resource(source, checked_serial(serial, f"the serial for {source}"), filename)
    return _token(conn, [Scope(verb, resource) for verb in _LOOK])


def _token(conn: Any, scopes: "list[Scope]") -> AuthorizationToken:
    connection = connected(conn)
    token = connection.server.file_token(scopes)
    known = {attribute.name: getattr(token, attribute.name) for attribute in fields(AuthorizationToken)}
    return StoreToken(**known, files=connection.files)
