"""The file that says which pilots were submitted for a server."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import define

from xfworker.adapters.process.file_lock import try_lock
from xfworker.domain.conversion import format_time, parse_time
from xfworker.domain.errors import ConfigurationError
from xfworker.ports.batch_system import SubmittedPilot
from xfworker.services.files_in_use import when_free

_LOCK_SECONDS = 120.0
_LOCK_STEP_SECONDS = 0.05


@define(frozen=True)
class PilotsFile:
    """
    A file for each server in a folder that only its owner can read.

    Implements :class:`~xfworker.ports.batch_system.SubmittedPilots`.

    Attributes:
        folder: The folder; it is there.
        server: The server's address, or its data folder.
    """

    folder: Path
    server: str

    @contextmanager
    def held(self) -> Iterator[None]:
        with os.fdopen(os.open(self._path(".lock"), os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
            deadline = time.monotonic() + _LOCK_SECONDS
            while not try_lock(file):
                if time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"another command has held {self._path('.lock')} for {_LOCK_SECONDS:.0f} s; is one still "
                        "submitting pilots?"
                    )
                time.sleep(_LOCK_STEP_SECONDS)
            yield

    def read(self) -> Sequence[SubmittedPilot]:
        path = self._path(".json")
        try:
            listed = json.loads(path.read_text("utf-8"))["pilots"]
            return [
                SubmittedPilot(
                    system=str(one["system"]), job=str(one["job"]), submitted_at=parse_time(one["submitted_at"])
                )
                for one in listed
            ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ConfigurationError(f"could not read which pilots were submitted, {path}: {error}") from None

    def write(self, pilots: Sequence[SubmittedPilot]) -> None:
        described = [
            {"system": one.system, "job": one.job, "submitted_at": format_time(one.submitted_at)} for one in pilots
        ]
        write_private(self._path(".json"), json.dumps({"server": self.server, "pilots": described}, indent=1))

    def _path(self, suffix: str) -> Path:
        return self.folder / f"{server_digest(self.server)}{suffix}"


def server_digest(server: str) -> str:
    """Give a name for a server's files."""
    return hashlib.sha256(server.encode()).hexdigest()[:16]


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; it appears whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    when_free(lambda: partial.replace(path))
