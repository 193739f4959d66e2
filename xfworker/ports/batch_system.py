"""A batch system: it gives machines, and pilots run on them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from attrs import define


@define(frozen=True, kw_only=True)
class BatchJob:
    """
    What a batch system gave the process that asks; ``None`` where it does not say.

    Attributes:
        job: The batch job's id.
        cores: Processor cores.
        memory_mib: Memory, MiB.
        ends_at: When the batch system ends the job.
        walltime_seconds: How long the job may run in all.
    """

    job: str
    cores: int | None = None
    memory_mib: int | None = None
    ends_at: datetime | None = None
    walltime_seconds: float | None = None


class BatchSystem(Protocol):
    """Submits pilots and cancels them. It is never asked how they are, but for :meth:`listed`, when a person does."""

    @property
    def name(self) -> str:
        """What it is called in commands and records: ``slurm``."""
        ...

    @property
    def template(self) -> str:
        """The text that is submitted for a pilot, with placeholders, see :mod:`xfworker.services.pilots.template`."""
        ...

    @property
    def shares_files(self) -> bool:
        """Whether its machines see the files of the one that submits: packages, logs and the token."""
        ...

    @property
    def program(self) -> Sequence[str]:
        """The words by which a pilot's machine calls ``xfworker``."""
        ...

    def quoted(self, words: Sequence[str]) -> str:
        """Write words of a command line as they stand in the template's text."""
        ...

    def submit(self, text: str) -> str:
        """
        Submit one pilot and give the batch job's id.

        Raises:
            BatchSystemError: The command is absent, or it refused; the message has what it said.
        """
        ...

    def cancel(self, jobs: Sequence[str]) -> None:
        """
        Cancel batch jobs, so that their pilots get a signal first.

        Raises:
            BatchSystemError: As with :meth:`submit`.
        """
        ...

    def listed(self) -> Mapping[str, str]:
        """
        List the caller's batch jobs and the state of each, in the system's own words.

        Raises:
            BatchSystemError: As with :meth:`submit`.
        """
        ...

    def own_job(self, environment: Mapping[str, str]) -> BatchJob | None:
        """Give what the batch system gave the process that has this environment; ``None`` where it is not its job."""
        ...


@define(frozen=True, kw_only=True)
class SubmittedPilot:
    """
    A pilot that was submitted from here.

    Attributes:
        system: The batch system.
        job: The batch job's id.
        submitted_at: When.
    """

    system: str
    job: str
    submitted_at: datetime


class SubmittedPilots(Protocol):
    """Keeps which pilots were submitted for a server, until they are seen there."""

    def held(self) -> AbstractContextManager[None]:
        """Keep others who submit for the same server waiting while the block runs."""
        ...

    def read(self) -> Sequence[SubmittedPilot]:
        """List them, in the order in which they were submitted."""
        ...

    def write(self, pilots: Sequence[SubmittedPilot]) -> None:
        """Keep these and no others."""
        ...
