"""The tasks of a workflow as a client of its server reads them."""

from xfworker.domain.records import Task, TaskState, TaskType, Workflow
from xfworker.domain.workflow_graph import Graph, Step
from xfworker.ports.xf_server import XFServer


def workflow_steps(server: XFServer, workflow_serial: int) -> tuple[Workflow, tuple[Step, ...]]:
    """
    Give a workflow and its active tasks with their types, each behind those whose outputs it uses.

    Raises:
        RecordNotFound: There is no such workflow, or the caller does not see it.
    """
    workflow = server.get(Workflow, workflow_serial)
    tasks = server.find(Task, {"workflow_serial": workflow.serial, "state": TaskState.ACTIVE})
    types = {serial: server.get(TaskType, serial) for serial in {task.task_type_serial for task in tasks}}
    return workflow, Graph.of(Step(task, types[task.task_type_serial]) for task in tasks).steps
