"""Two servers' records and files, without serials and times, side by side."""

import hashlib
import re
from collections import Counter

import attrs

from xfworker.domain.files import Scope, parse_resource
from xfworker.domain.job_metadata import LOST_ATTEMPTS, OUTCOME
from xfworker.domain.records import ActivityEvent, Entity, Job, Project, Run, Task, TaskType, Workflow

KINDS = (Project, Workflow, Task, TaskType, Run, Entity, Job)
_OF_THE_PLACE = {"serial", "occ_lock_version", "created_at", "modified_at", "started_at", "finished_at"}
_OF_THE_PLACE |= {"worker_serial", "sort_order", "attempt"}
"""Serials, times, and what counts attempts: these are held by :func:`attempt_violations`."""
_OF_METADATA = {LOST_ATTEMPTS, OUTCOME, "estimated_duration_seconds"}
"""How a process ended is not reported where its worker was killed behind its last result."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The example draws the identity of a sample anew each time."""
_SOURCES = {"job_result": Job, "task_config": Task, "task_type_config": TaskType, "workflow_config": Workflow}
_SHOWN = 300


class Content:
    """
    Everything that a server keeps of its workflows.

    Attributes:
        records: For each record by its name, what it says.
        files: For each file by its name, the SHA-256 of what is read.
        jobs: The jobs as they are.
        events: The activity log.
        violations: What contradicts itself: two records of one name, and files of no record.
    """

    def __init__(self, server, files, stored):
        """
        Read a server.

        Args:
            server: Its records.
            files: Its files.
            stored: The paths of all files that its store has, ``source/serial/filename``.
        """
        found = {kind: server.find(kind) for kind in KINDS}
        self.jobs, self.events = found[Job], server.find(ActivityEvent)
        self.violations = []
        self._names = {kind: {} for kind in KINDS}
        for kind in KINDS:
            for record in found[kind]:
                self._names[kind][record.serial] = self._name(record)
            counted = Counter(self._names[kind].values())
            # A sample may be saved by an attempt that was lost before its job was done.
            self.violations += [
                f"{count} are called {name}" for name, count in counted.items() if count > 1 and kind is not Entity
            ]
        self.records = {
            self._names[kind][record.serial]: self._plain(attrs.asdict(record))
            for kind in KINDS
            for record in found[kind]
        }
        self.files = {}
        token = server.file_token([Scope("read", parse_resource(source)) for source in (*_SOURCES, "userdata")])
        for path in stored:
            source, _, rest = path.partition("/")
            if source == "job_log":
                continue
            digest = hashlib.sha256()
            for block in files.open_read(token, parse_resource(path)):
                digest.update(block)
            self.files[self._file_name(source, rest)] = digest.hexdigest()

    def job_name(self, job):
        return self._names[Job][job.serial]

    def _name(self, record):
        match record:
            case Job():
                return f"job {self._names[Task][record.task_serial]} of {self._names[Run].get(record.run_serial)}"
            case Task() | Project() | Workflow() | TaskType() | Run() | Entity():
                return f"{record.noun} {record.name}"

    def _file_name(self, source, rest):
        if source not in _SOURCES:
            return f"{source}/{rest}"
        serial, _, filename = rest.partition("/")
        owner = self._names[_SOURCES[source]].get(int(serial))
        if owner is None:
            self.violations.append(f"{source}/{rest} belongs to no record")
        return f"{source}/{owner}/{filename}"

    def _plain(self, value, key=""):
        if isinstance(value, dict):
            left_out = _OF_METADATA if key == "metadata" else _OF_THE_PLACE
            return {name: self._plain(item, name) for name, item in value.items() if name not in left_out}
        if isinstance(value, list | tuple):
            return [self._plain(item) for item in value]
        if isinstance(value, str):
            return _UUID.sub("UUID", value)
        return self._named(key, value) if isinstance(value, int) and key.endswith("_serial") else value

    def _named(self, key, serial):
        kinds = {f"{kind.noun.replace(' ', '_')}_serial": kind for kind in KINDS}
        kind = kinds.get(key.removeprefix("source_"))
        return serial if kind is None else self._names[kind].get(serial, f"no {kind.noun}")


def differences(one, other):
    """List what differs between two contents, of which the second is what was to come out."""
    found = [*one.violations]
    for what in ("records", "files"):
        here, there = getattr(one, what), getattr(other, what)
        found += [f"{name} is not there" for name in sorted(there.keys() - here.keys())]
        found += [f"{name} is there beyond what one machine made" for name in sorted(here.keys() - there.keys())]
        found += [
            f"{name} differs: {_differing(here[name], there[name])}"
            for name in sorted(here.keys() & there.keys())
            if here[name] != there[name]
        ]
    return found


def _differing(here, there):
    if isinstance(here, dict) and isinstance(there, dict):
        parts = [key for key in here.keys() | there.keys() if here.get(key) != there.get(key)]
        return "; ".join(f"{key}: {_differing(here.get(key), there.get(key))}" for key in sorted(parts))
    return f"{str(here)[:_SHOWN]} and not {str(there)[:_SHOWN]}"


def attempt_violations(content, may_lose):
    """
    List what is wrong with how attempts were counted.

    Each attempt was handed out once and ended once: lost, given back or done. Only a lost one counts, and there are no
    more of these than disturbances that took a worker away.

    Args:
        content: What the server keeps.
        may_lose: How many attempts the disturbances can have cost.
    """
    found, lost = [], 0
    for job in content.jobs:
        states = [
            (event.payload["state"], event.payload.get("outcome"))
            for event in content.events
            if event.job_serial == job.serial and "state" in event.payload
        ]
        done = sum(state[1] == "Done" for state, _ in states)
        again = [outcome for state, outcome in states if state == ["Running", "Ready"]]
        given_back = sum(outcome is not None for outcome in again)
        of_job = len(job.metadata.get(LOST_ATTEMPTS, []))
        lost += of_job
        name = content.job_name(job)
        # The one job that works on all runs is done again when more values came.
        if done != 1 and job.run_serial is not None:
            found.append(f"{name} was done {done} times")
        if len(again) - given_back != of_job:
            found.append(f"{name}: {len(again) - given_back} attempts ended without an end, {of_job} are counted")
        if job.attempt != done + len(again):
            found.append(f"{name} is at attempt {job.attempt}; {done} were done, {len(again)} ended otherwise")
    if lost > may_lose:
        found.append(f"{lost} attempts are counted as lost, but only {may_lose} can have been")
    return found
