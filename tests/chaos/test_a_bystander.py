"""Whatever others do to what they may write, another project's jobs are claimed, run and ended."""

import threading
import time
from contextlib import suppress

import attrs
import pytest
import urllib3

from tests.chaos.laboratory import Server
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.domain.change import Change
from xfworker.domain.errors import ServerBusy, ServerFault, XFWorkerError
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Run, Task, TaskType, TaskTypeKind, Worker, Workflow, WorkflowState

_ROUNDS = 5
_BOUND_SECONDS = 120.0
"""Far above what a round takes, on any computer; what waits for ever is found by it."""
_DEEP = "deep"
for _ in range(60):
    _DEEP = [_DEEP]
_POISON = (None, "x" * 20_000, [{"key": None, "mode": "output", "task_serial": "1"}], _DEEP)
_INSIDE = ("inputs", "outputs", "metadata", "interface", "entity")
_QUICK = HttpLimits(attempts=1, patience_seconds=0.0)


class House:
    """A server with two people who do not know each other, and a worker that works for both."""

    def __init__(self, server):
        self.server = server
        self.http = urllib3.PoolManager()
        self.tokens = {name: self._account(name) for name in ("anna", "mallory")}
        self.queue = HttpJobQueue(self.transport(server.admin_token))
        self.worker = self.queue.register(Worker(name="bench")).serial

    def transport(self, token, limits=None):
        return HttpTransport(self.server.url, token=token, limits=limits)

    def _account(self, name):
        account = {"name": name, "password": f"{name}-rides-at-dusk"}
        admin = {"Authorization": f"Bearer {self.server.admin_token}"}
        assert self.http.request("POST", f"{self.server.url}/xf/v1/accounts", json=account, headers=admin).status == 201
        return self.http.request("POST", f"{self.server.url}/xf/v1/login", json=account).json()["token"]

    def workflow(self, name):
        """Make a project with a workflow of two tasks, and a run in it."""
        server = HttpXFServer(self.transport(self.tokens[name]))
        project = server.create(Project(name=name)).serial
        workflow = server.create(Workflow(project_serial=project, state=WorkflowState.ACTIVE)).serial
        tasks = []
        for step, kind in (("first", TaskTypeKind.SOURCE), ("second", TaskTypeKind.PROCESSING)):
            inputs = [{"key": "value", "type": "Float"}] if tasks else []
            task_type = server.create(TaskType(name=f"{name}.{step}", kind=kind, interface={"inputs": inputs})).serial
            sources = [{"key": "value", "mode": "output", "task_serial": one, "output_key": "value"} for one in tasks]
            task = Task(workflow_serial=workflow, task_type_serial=task_type, name=step, inputs=sources)
            tasks.append(server.create(task).serial)
        return project, workflow


def poison(house, failures):
    """Write everything that one may write into everything that one may write to, key by key."""
    server = HttpXFServer(house.transport(house.tokens["mallory"], _QUICK))
    control = HttpWorkflowControl(house.transport(house.tokens["mallory"], _QUICK))
    project, workflow = house.workflow("mallory")
    for value in _POISON:
        with suppress(ServerBusy):
            control.start_run(workflow)
        where = {"workflow_serial": workflow}
        of_workflow = [(kind, record) for kind in (Task, Run, Job) for record in server.find(kind, where)]
        types = [(TaskType, record) for record in server.find(TaskType) if record.name.startswith("mallory")]
        for kind, record in [*of_workflow, *types, (Workflow, server.get(Workflow, workflow))]:
            names = [field.name for field in attrs.fields(kind)]
            paths = [f"/{name}" for name in names]
            paths += [f"/{name}/key" for name in names if name in _INSIDE]
            for path in paths:
                try:
                    server.update(kind, record.serial, Change(values={path: value}))
                except ServerFault as error:
                    failures.append(f"{kind.noun} {path} = {str(value)[:40]}: {error}")
                except XFWorkerError:
                    pass
        with suppress(XFWorkerError):
            server.update(Project, project, Change(values={"/obsolete": False}))


def flood(house, ended):
    """Log in with wrong passwords, as many names."""
    number = 0
    while not ended.is_set():
        number += 1
        account = {"name": f"anna{number % 7 or ''}", "password": "not the password"}
        answer = house.http.request("POST", f"{house.server.url}/xf/v1/login", json=account, retries=False)
        assert answer.status in (401, 429, 503)


def send_large_bodies(house, ended):
    body = b'{"name": "' + b"x" * (3 << 20) + b'"}'
    headers = {"Authorization": f"Bearer {house.tokens['mallory']}", "Content-Type": "application/json"}
    while not ended.is_set():
        url = f"{house.server.url}/xf/v1/projects"
        with suppress(urllib3.exceptions.HTTPError):
            answer = house.http.request("POST", url, body=body, headers=headers, retries=False)
            assert answer.status < 500 or answer.status == 503


def do_rounds(house, rounds):
    """Start runs and do their jobs; the worker meets the jobs of others on its way, and they fail."""
    project, workflow = house.workflow("anna")
    control = HttpWorkflowControl(house.transport(house.tokens["anna"]))
    server = HttpXFServer(house.transport(house.tokens["anna"]))
    for number in range(_ROUNDS):
        began = time.monotonic()
        run = control.start_run(workflow)
        while any(job.state is not JobState.DONE for job in own(server, run)) or len(own(server, run)) < 2:
            lease = house.queue.claim(house.worker)
            if lease is None:
                continue
            if lease.job.project_serial != project:
                house.queue.end(lease, Outcome(ending=Ending.CRASHED, message="not ours"))
                continue
            script = HttpXFServer(house.transport(lease.server_auth))
            values = {"/outputs": {"value": float(number)}, "/state": JobState.DONE.value}
            script.update(Job, lease.job.serial, Change(values=values))
            house.queue.end(lease, Outcome(ending=Ending.FINISHED, exit_code=0))
        rounds.append(time.monotonic() - began)


def own(server, run):
    return server.find(Job, {"run_serial": run.serial})


@pytest.fixture
def house(tmp_path):
    with Server(tmp_path, f"sqlite:///{tmp_path / 'records.sqlite'}", lease_seconds=60) as server:
        yield House(server)


def test_another_project_goes_on_while_documents_are_poisoned_logins_flood_and_bodies_are_large(house):
    rounds, faults, errors, ended = [], [], [], threading.Event()

    def kept(work, *arguments):
        def run():
            try:
                work(house, *arguments)
            except BaseException as error:  # noqa: BLE001  shown by the test
                errors.append(error)

        return threading.Thread(target=run, daemon=True)

    bystander = kept(do_rounds, rounds)
    others = [kept(poison, faults), kept(flood, ended), kept(send_large_bodies, ended)]
    for thread in (*others, bystander):
        thread.start()
    bystander.join(_BOUND_SECONDS)
    others[0].join(_BOUND_SECONDS)
    ended.set()
    for thread in others:
        thread.join()
    assert not errors
    assert len(rounds) == _ROUNDS
    assert faults == []
