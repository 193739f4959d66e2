"""Whether the files that outputs name are in the store, asked before a job is done and nobody can add them any more."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.files import Resource, Scope, reference_resource
from xfworker.domain.parameters import file_references
from xfworker.services.script.outputs import JOB_RESULT, output_folder
from xfworker.services.script.session import Session
from xfworker.services.script.working_directory import WorkingDirectory


def require_stored(session: Session, working_dir: WorkingDirectory, outputs: Mapping[str, Any]) -> None:
    """
    Make sure that every file of this job that outputs name was uploaded; one listing answers for all.

    Raises:
        InvalidParameter: With every file that was not, and where it lies if it is in the working directory.
    """
    folder = output_folder(session)
    named: dict[Resource, str] = {}
    for key, value in outputs.items():
        for reference in file_references(value):
            if reference.get("source") == JOB_RESULT:
                resource = reference_resource(reference)
                if folder.contains(resource):
                    named.setdefault(resource, key)
    if not named:
        return
    token = session.server.file_token([Scope("list", folder)])
    stored = {entry.resource for entry in session.files.list(token, folder).files}
    missing = [
        f"outputs.{key}: {resource.filename} was not uploaded{_whereabouts(working_dir.path, resource.filename)}"
        for resource, key in named.items()
        if resource not in stored
    ]
    if missing:
        raise InvalidParameter(f"the outputs name files that are not stored: {'; '.join(missing)}", missing)


def _whereabouts(directory: Path, filename: str) -> str:
    for folder in (directory, Path.cwd()):
        for path in folder.rglob(filename) if folder == directory else [folder / filename]:
            if path.is_file():
                return f", but lies at {path}: call upload_output_file with that path before finish"
    return "; write it, and call upload_output_file before finish"
