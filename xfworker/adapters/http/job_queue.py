"""The job queue over HTTP."""

from typing import Any

from xfworker.adapters.http.transport import HttpTransport, new_idempotency_key
from xfworker.adapters.http.xf_server import BASE
from xfworker.domain.conversion import from_json, parse_time, to_json
from xfworker.domain.errors import InvalidRecord, ProtocolViolation
from xfworker.domain.job_outcome import Outcome
from xfworker.domain.json_value import clean_text
from xfworker.domain.records import Job, Task, TaskType, Worker
from xfworker.ports.job_queue import Lease, LeaseStatus


class HttpJobQueue:
    """The job queue over HTTP, as the worker whose token the transport carries. It does not close the transport."""

    def __init__(self, transport: HttpTransport) -> None:
        """Take the transport."""
        self._transport = transport

    def __repr__(self) -> str:
        return f"HttpJobQueue({self._transport.url!r})"

    def register(self, worker: Worker) -> Worker:
        """Make the worker known, or refresh what is known of the one with the same name."""
        doing = f"register worker {worker.name!r}"
        value = self._ask("workers", to_json(worker), doing)
        try:
            return from_json(Worker, value)
        except InvalidRecord as error:
            raise _unexpected(doing, error) from None

    def claim(self, worker_serial: int, *, job_serial: int | None = None) -> Lease | None:
        """Take the next ready job that this worker can run, or the given one."""
        doing = "claim a job" if job_serial is None else f"claim job {job_serial}"
        body = {"worker_serial": worker_serial, "job_serial": job_serial}
        # The key lets a claim be repeated whose answer was lost, without a second job being taken.
        value = self._ask("claims", body, doing, {"Idempotency-Key": new_idempotency_key()})
        try:
            lease = value["lease"]
            return None if lease is None else _lease(lease)
        except (InvalidRecord, KeyError, TypeError, ValueError) as error:
            raise _unexpected(doing, error) from None

    def heartbeat(self, lease: Lease) -> LeaseStatus:
        """Renew the lease."""
        doing = f"renew the lease on job {lease.job.serial}"
        value = self._ask("heartbeats", {"job_serial": lease.job.serial, "attempt": lease.attempt}, doing)
        try:
            return LeaseStatus(
                expires_at=parse_time(value["expires_at"]), abort_requested=bool(value["abort_requested"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _unexpected(doing, error) from None

    def end(self, lease: Lease, outcome: Outcome) -> Job:
        """Report how the script ended, and give the job as it is then."""
        doing = f"report the end of job {lease.job.serial}"
        # The message may quote what a script wrote, and that may be anything; the end must be reported all the same.
        body = {
            "job_serial": lease.job.serial,
            "attempt": lease.attempt,
            "outcome": {**outcome.to_json(), "message": clean_text(outcome.message)},
        }
        value = self._ask("ends", body, doing)
        try:
            return from_json(Job, value)
        except InvalidRecord as error:
            raise _unexpected(doing, error) from None

    def _ask(self, what: str, body: Any, doing: str, headers: dict[str, str] | None = None) -> Any:
        path = f"{BASE}/queue/{what}"
        # Each of these can be sent twice: registering, renewing and ending say the same again, claiming has its key.
        return self._transport.request("POST", path, doing=doing, json_body=body, headers=headers, repeat=True).json()


def _lease(value: Any) -> Lease:
    return Lease(
        job=from_json(Job, value["job"]),
        task=from_json(Task, value["task"]),
        task_type=from_json(TaskType, value["task_type"]),
        server_auth=value["server_auth"],
        expires_at=parse_time(value["expires_at"]),
    )


def _unexpected(doing: str, error: Exception) -> ProtocolViolation:
    return ProtocolViolation(f"could not {doing}: the server's answer is not as documented ({error})")
