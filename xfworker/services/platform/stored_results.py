"""No job is done whose outputs name results that are not stored, whoever says that it is done."""

from collections.abc import Mapping
from typing import Any

from xfworker.domain.errors import FileError, InvalidParameter, LeaseLost, RecordNotFound, ServerBusy
from xfworker.domain.files import Resource, own_token
from xfworker.domain.records import Job
from xfworker.domain.result_references import folder_of, named_results
from xfworker.ports.file_store import FileStore
from xfworker.services.platform.access import Access


class StoredResults:
    """
    What is stored of the files that one request names: each folder is listed once.

    The files are not locked: what is deleted in the same moment is missing afterwards, as after any deletion.
    """

    def __init__(self, files: FileStore | None) -> None:
        """Prepare; without a file store nothing can be asked, and everything is believed."""
        self._files = files
        self._listed: dict[Resource, frozenset[Resource]] = {}
        self._is_locked = False

    def look_up(self, outputs: Any) -> None:
        """
        Ask for what outputs name before any lock is taken, because a file store takes its time.

        Raises:
            ServerError: The file store cannot be asked.
        """
        if self._files is None or not isinstance(outputs, Mapping):
            return
        try:
            named = named_results(outputs)
        except FileError:
            return  # said by violations(), as everything else that is wrong with the request
        for file in named:
            self._content(folder_of(file))

    def begin_transaction(self) -> None:
        """Ask the store for nothing more from here on, because others wait for what the transaction locks."""
        self._is_locked = True

    def violations(self, access: Access, job: Job) -> list[str]:
        """
        List the files that a job's outputs name and that are not stored, each starting with the output's path.

        What the caller may not see is not there, so that nobody learns by this what others have.

        Raises:
            ServerBusy: They name other files than were looked up.
        """
        if self._files is None:
            return []
        try:
            named = named_results(job.outputs)
        except (FileError, InvalidParameter) as error:
            return [f"outputs: {error}"]
        return [
            f"outputs.{key}: {file} was not uploaded to this server; upload it before the job is done (where scripts "
            "keep files in another store: xfworker serve --files-elsewhere)"
            for file, key in named.items()
            if not (_is_visible(access, job, file) and file in self._content(folder_of(file)))
        ]

    def _content(self, folder: Resource) -> frozenset[Resource]:
        assert self._files is not None
        if folder not in self._listed:
            if self._is_locked:
                raise ServerBusy(f"what names {folder} changed in this moment; try again", retry_after_seconds=0.2)
            content = self._files.list(own_token(("list",), folder), folder)
            self._listed[folder] = frozenset(stat.resource for stat in content.files)
        return self._listed[folder]


def _is_visible(access: Access, job: Job, file: Resource) -> bool:
    serial = int(file.segments[1])
    if serial == job.serial:
        return True
    try:
        access.get(Job, serial)
    except (RecordNotFound, LeaseLost):
        return False
    return True
