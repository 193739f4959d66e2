"""Whether the files that outputs name are in the store, asked before a job is done and nobody can add them any more."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.files import Scope
from xfworker.domain.result_references import named_results
from xfworker.services.script.outputs import output_folder
from xfworker.services.script.session import Session
from xfworker.services.script.working_directory import WorkingDirectory


def require_stored(session: Session, working_dir: WorkingDirectory, outputs: Mapping[str, Any]) -> None:
    """
    Make sure that every file of this job that outputs name was uploaded; one listing answers for all.

    Raises:
        InvalidParameter: With every file that was not, and where it lies if it is in the working directory.
    """
    folder = output_folder(session)
    named = {file: key for file, key in named_results(outputs).items() if folder.contains(file)}
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
