"""
Whether one job, to which everything happens one after the other, could have given what many clients saw of it.

A search in the manner of Wing and Gong (1993) with the memory of Lowe (2017): operations are put in an order that
keeps those apart of which one was answered before the other was asked. What was asked and not answered may have
happened or not. A lease may end by itself, but not before it was silent for its time.
"""

import math

from attrs import define, evolve, field, frozen

UNANSWERED = math.inf


@frozen
class Operation:
    """
    What a client asked of a job, and what it was answered.

    Attributes:
        asked_at: When it asked, in seconds.
        answered_at: When it was answered; ``UNANSWERED`` where it never was.
        kind: ``claim``, ``renew``, ``write``, ``finish``, ``end``, ``restart`` or ``read``.
        attempt: The attempt in whose name it asked.
        value: What it wrote, or how it said that the attempt ended.
        answer: ``None`` where it was refused or not answered; of a claim the attempt, of a read what was read; else
            ``True``.
        client: Who asked.
    """

    asked_at: float
    answered_at: float
    kind: str
    attempt: int = 0
    value: object = None
    answer: object = None
    client: str = ""


@frozen
class JobAs:
    """A job at one moment: the state that its operations change."""

    state: str = "Ready"
    attempt: int = 0
    value: object = None
    leased: bool = False
    reported: bool = False
    renewed_at: float = -math.inf


def after(job, operation):
    """Give the job after an operation that is answered as it was, or ``None`` where it cannot have been."""
    refused = operation.answer is None and operation.answered_at != UNANSWERED
    if operation.kind == "read":
        seen = (job.state, job.attempt, job.value)
        return job if operation.answered_at == UNANSWERED or operation.answer == seen else None
    if operation.kind == "end":
        return _ended(job, operation, refused)
    holds = job.state == "Running" and operation.attempt == job.attempt
    may, changes = {
        "claim": (
            job.state == "Ready" and operation.answer in (None, job.attempt + 1),
            {
                "state": "Running",
                "attempt": job.attempt + 1,
                "leased": True,
                "reported": False,
                "renewed_at": operation.asked_at,
            },
        ),
        "renew": (job.leased and operation.attempt == job.attempt, {"renewed_at": operation.asked_at}),
        "write": (holds, {"value": operation.value}),
        "finish": (holds, {"value": operation.value, "state": "Done"}),
        "restart": (
            job.state in ("Done", "Failed") and not job.leased,
            {"state": "Ready", "value": None, "reported": False},
        ),
    }[operation.kind]
    if refused:
        return None if may else job
    return evolve(job, **changes) if may else None


def _ended(job, operation, refused):
    is_latest = operation.attempt == job.attempt
    if not (is_latest and job.leased):
        handed_back = operation.value == "handed_back"
        again = is_latest and (job.state != "Running" if handed_back else job.reported and job.state != "Ready")
        return job if bool(again) is not refused else None
    if refused:
        return None
    if operation.value == "handed_back":
        return evolve(job, leased=False, state="Ready" if job.state == "Running" else job.state)
    return evolve(job, leased=False, reported=True, state="Failed" if job.state == "Running" else job.state)


@define
class _Search:
    operations: tuple
    lease_seconds: float
    seen: set = field(factory=set)
    longest: tuple = ()

    def explains(self):
        every = (1 << len(self.operations)) - 1
        stack = [(every, JobAs(), ())]
        while stack:
            left, job, order = stack.pop()
            if (left, job) in self.seen:
                continue
            self.seen.add((left, job))
            if len(order) > len(self.longest):
                self.longest = order
            open_ones = [number for number in range(len(self.operations)) if left >> number & 1]
            if all(self.operations[number].answered_at == UNANSWERED for number in open_ones):
                return True
            first_answer = min(self.operations[number].answered_at for number in open_ones)
            if job.leased and first_answer >= job.renewed_at + self.lease_seconds:
                lost = evolve(job, leased=False, state="Ready" if job.state == "Running" else job.state)
                stack.append((left, lost, order))
            for number in reversed(open_ones):
                operation = self.operations[number]
                if operation.asked_at > first_answer:
                    continue
                changed = after(job, operation)
                if changed is not None:
                    stack.append((left & ~(1 << number), changed, (*order, operation)))
                if operation.answered_at == UNANSWERED:
                    stack.append((left & ~(1 << number), job, order))
        return False


def unexplained(operations, *, lease_seconds):
    """
    Say what no order of operations explains, or give ``None`` where one explains them all.

    Args:
        operations: Everything that clients asked of one job.
        lease_seconds: How long a lease holds at least after it was asked for.
    """
    search = _Search(tuple(sorted(operations, key=lambda one: one.asked_at)), lease_seconds)
    if search.explains():
        return None
    rest = [one for one in search.operations if one not in search.longest]
    return f"after {len(search.longest)} operations, none of these can be next: {rest[:6]}"
