"""What the batch systems have in common: a command that submits, one that cancels, and ids of batch jobs."""

import re
import shlex
import sys
from collections.abc import Sequence
from typing import ClassVar

from xfworker.adapters.batch.commands import run_command, unexpected_answer
from xfworker.domain.errors import BatchSystemError


class ClusterCommands:
    """
    The part of :class:`~xfworker.ports.batch_system.BatchSystem` that differs only by words.

    Attributes:
        title: What people call the system.
        submits: The command that reads what is submitted from stdin.
        submitted: What it answers, all of it; the first group is the batch job's id.
        cancels: The command that gets ids.
        job_id: What an id looks like.
    """

    title: ClassVar[str]
    submits: ClassVar[Sequence[str]]
    submitted: ClassVar[re.Pattern[str]]
    cancels: ClassVar[Sequence[str]]
    job_id: ClassVar[re.Pattern[str]] = re.compile(r"[1-9]\d*")
    shares_files = True
    program: Sequence[str] = (sys.executable, "-m", "xfworker")

    def quoted(self, words: Sequence[str]) -> str:
        return shlex.join(words)

    def submit(self, text: str) -> str:
        doing = f"submit a pilot to {self.title}"
        answer = run_command(self.submits, doing, text)
        found = self.submitted.fullmatch(answer.strip())
        if found is None:
            raise unexpected_answer(doing, self.submits[0], answer)
        return found[1]

    def cancel(self, jobs: Sequence[str]) -> None:
        # Ids come from workers' records, and words such as `all`, `0`, a user's name or an option cancel much more.
        strange = [job for job in jobs if not self.job_id.fullmatch(job)]
        if strange:
            raise BatchSystemError(
                f"could not cancel {', '.join(map(repr, strange))} in {self.title}: that is not the id of a batch job, "
                "though a worker's record says so; nothing was cancelled, name the pilots that you mean"
            )
        run_command([*self.cancels, *jobs], f"cancel {', '.join(jobs)} in {self.title}")
