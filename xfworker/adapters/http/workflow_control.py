"""Workflow control over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from xfworker.adapters.http.transport import HttpTransport, new_idempotency_key
from xfworker.adapters.http.xf_server import BASE
from xfworker.adapters.wire.codec import read_answer, write
from xfworker.adapters.wire.runs import AppendedTask, RunCopy, RunStart
from xfworker.domain.records import Job, Record, Run, RunPriority, Task

RecordT = TypeVar("RecordT", bound=Record)


class HttpWorkflowControl:
    """Workflow control over HTTP, as the caller whose token the transport carries."""

    def __init__(self, transport: HttpTransport) -> None:
        """Take the transport; it is not closed with this object."""
        self._transport = transport

    def __repr__(self) -> str:
        return f"HttpWorkflowControl({self._transport.url!r})"

    def start_run(
        self,
        workflow_serial: int,
        *,
        inputs: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
        task_serial: int | None = None,
        name: str = "",
        entity: Mapping[str, Any] | None = None,
        priority: RunPriority = RunPriority.NORMAL,
        idempotency_key: str | None = None,
    ) -> Run:
        start = RunStart(
            inputs=inputs, outputs=outputs, entity=entity, task_serial=task_serial, name=name, priority=priority
        )
        headers = {"Idempotency-Key": idempotency_key or new_idempotency_key()}
        doing = f"start a run of workflow {workflow_serial}"
        return self._ask(Run, f"workflows/{workflow_serial}/runs", doing, write(start), headers)

    def copy_run(self, run_serial: int, *, name: str = "", idempotency_key: str | None = None) -> Run:
        headers = {"Idempotency-Key": idempotency_key or new_idempotency_key()}
        return self._ask(Run, f"runs/{run_serial}/copies", f"copy run {run_serial}", write(RunCopy(name=name)), headers)

    def append_task(
        self,
        job_serial: int,
        task_type_serial: int,
        *,
        inputs: Sequence[Mapping[str, Any]],
        name: str = "",
        idempotency_key: str | None = None,
    ) -> Task:
        task = AppendedTask(task_type_serial=task_type_serial, inputs=[dict(item) for item in inputs], name=name)
        headers = {"Idempotency-Key": idempotency_key or new_idempotency_key()}
        doing = f"append a task to job {job_serial}"
        return self._ask(Task, f"jobs/{job_serial}/tasks", doing, write(task), headers)

    def restart_job(self, job_serial: int, *, idempotency_key: str | None = None) -> Job:
        headers = {"Idempotency-Key": idempotency_key or new_idempotency_key()}
        return self._ask(Job, f"jobs/{job_serial}/restart", f"restart job {job_serial}", headers=headers)

    def abort_job(self, job_serial: int, *, idempotency_key: str | None = None) -> Job:
        headers = {"Idempotency-Key": idempotency_key or new_idempotency_key()}
        return self._ask(Job, f"jobs/{job_serial}/abort", f"abort job {job_serial}", headers=headers)

    def _ask(
        self,
        kind: type[RecordT],
        path: str,
        doing: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RecordT:
        answer = self._transport.request("POST", f"{BASE}/{path}", doing=doing, json_body=body, headers=headers)
        return read_answer(kind, answer.json(), doing)
