"""Bringing the files of a job's outputs into the store, and the composite parameters that name them."""

import stat
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from xfworker.domain.errors import FileError, UsageError
from xfworker.domain.files import Resource, Scope, record_resource, userdata_resource
from xfworker.domain.parameters import create_parameter
from xfworker.domain.result_references import JOB_RESULT
from xfworker.services.script.plain_json import plain_json
from xfworker.services.script.session import Session
from xfworker.services.script.working_directory import WorkingDirectory


def output_resource(session: Session, filename: str) -> Resource:
    """
    Give the resource of an output file of the current job.

    Raises:
        InvalidFilename: The name is not one safe file name.
    """
    return record_resource(JOB_RESULT, session.arguments.job_serial, filename)


def output_folder(session: Session) -> Resource:
    """Give the folder of all output files of the current job."""
    return record_resource(JOB_RESULT, session.arguments.job_serial)


def output_parameter(session: Session, type_name: str, filename: str, **fields: Any) -> dict[str, Any]:
    """
    Make a composite parameter whose bulk data is an output file of the current job.

    Raises:
        InvalidParameter: With every wrong value and its path.
    """
    own = {"source": JOB_RESULT, "job_serial": session.arguments.job_serial, "filename": filename}
    return value_parameter(type_name, **own, **fields)


def value_parameter(type_name: str, **fields: Any) -> dict[str, Any]:
    """
    Make a composite parameter of values; those that are ``None`` are left out.

    Raises:
        InvalidParameter: With every wrong value and its path.
    """
    from xfworker.domain.parameter_shapes import check_shape

    what = f"create_output_{_snake(type_name)}"
    plain = plain_json({key: _as_text(value) for key, value in fields.items()}, what)
    return check_shape(create_parameter(type_name, **plain), what)


def output_path(session: Session, working_dir: WorkingDirectory, path: Path, postfix: str) -> Path:
    """
    Give a path for an output file: inside the store where direct access allows writing, else in the working directory.

    Raises:
        InvalidFilename: The name is not one safe file name.
        PermissionDenied: The job may not write results.
    """
    fallback = working_dir.create_related_path(path, postfix)
    resource = output_resource(session, fallback.name)
    token = session.server.file_token([Scope("write", resource)])
    return session.transfers.writable_path(token, resource, fallback)


def upload_outputs(session: Session, working_dir: WorkingDirectory, paths: Sequence[Path]) -> None:
    """
    Store local files as output files of the current job, under their own names.

    Raises:
        FileError: One is not there, or its transfer failed; the message names it.
    """
    uploads = [(existing_file(path), output_resource(session, PurePath(path).name)) for path in paths]
    token = session.server.file_token([Scope("write", resource) for _, resource in uploads])
    session.transfers.store_many(token, uploads, working_directory=working_dir.path)


def upload_userdata(session: Session, working_dir: WorkingDirectory, path: Path, virtualpath: str) -> None:
    """
    Store a local file in user data.

    Args:
        session: Who stores it.
        working_dir: The job's working directory.
        path: The local file.
        virtualpath: The file's path in user data; a folder's path (which ends with a slash) keeps the file's name.

    Raises:
        FileError: The file is not there, or its transfer failed.
    """
    source = existing_file(path)
    if not isinstance(virtualpath, str) or not virtualpath:
        raise UsageError(
            f"upload_xf_userdata_file takes a virtual path such as 'reports/a.csv', not {virtualpath!r:.80}"
        )
    resource = userdata_resource(virtualpath)
    if virtualpath.endswith(("/", "\\")) or len(resource.segments) == 1:
        resource = resource.child(source.name)
    token = session.server.file_token([Scope("write", resource)])
    session.transfers.store(token, source, resource, working_directory=working_dir.path)


def existing_file(path: Any) -> Path:
    """
    Give the path of a local file that is to be stored.

    Raises:
        FileError: It is not there, or is a directory.
        UsageError: It is not a path.
    """
    if not isinstance(path, str | PurePath):
        raise UsageError(f"expected the path of a local file, got {type(path).__name__} {repr(path)[:80]}")
    file = Path(path)
    try:
        mode = file.stat().st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(
            f"cannot store {str(file)[:200]}: {reason.lower()}; save the file before it is uploaded"
        ) from None
    if stat.S_ISDIR(mode):
        raise FileError(f"cannot store {file}: it is a directory; store its files one by one")
    if not stat.S_ISREG(mode):
        raise FileError(f"cannot store {file}: it is a pipe, a device or a socket; write its content to a file first")
    return file


def _as_text(value: Any) -> Any:
    # Scripts hand over ``path.name`` as documented; a bare relative path means the same.
    if isinstance(value, list | tuple):
        return [_as_text(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value


def _snake(type_name: str) -> str:
    special = {
        "CSV": "csv",
        "GIResult": "gi_result",
        "HTMLDocument": "html_document",
        "ImageVOI": "image_voi",
        "RotatedImageVOI": "rotated_image_voi",
    }
    if type_name in special:
        return special[type_name]
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in type_name).removeprefix("_")
