"""Requests made up from the OpenAPI document: whatever comes, the server answers as documented and never fails."""

from typing import NamedTuple

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    missing_required_header,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
    use_after_free,
)

from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.web.openapi import document
from xfworker.adapters.web.openapi_files import FSS
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.files import VERBS, Scope, parse_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Run, Task, TaskType, Worker, Workflow, WorkflowState
from xfworker.testing.contracts.sns_server import isq_file

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    missing_required_header,
    unsupported_method,
    use_after_free,
]


class Served(NamedTuple):
    url: str
    admin_token: str
    file_token: str

    def token_for(self, case):
        return self.file_token if case.path.startswith(FSS) else self.admin_token


schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
schema = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    scans = tmp_path_factory.mktemp("scans")
    (scans / "a.isq").write_bytes(isq_file(patient=1, measurement=10))
    with EmbeddedServer(tmp_path_factory.mktemp("served"), sns=scans) as embedded:
        transport = HttpTransport(embedded.url, token=embedded.admin_token)
        server = HttpXFServer(transport)
        # Serials from 1 on lead somewhere, so that not every made-up request ends at "not found".
        project = server.create(Project(name="p"))
        for _ in range(3):
            workflow = server.create(Workflow(project_serial=project.serial, state=WorkflowState.ACTIVE))
            task_type = server.create(TaskType(name="Any.Type"))
            task = server.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial))
            run = server.create(Run(workflow_serial=workflow.serial))
            server.create(Job(task_serial=task.serial, run_serial=run.serial, state=JobState.READY))
            server.create(Worker(name=f"w{task.serial}"))
        # The places that the document gives as examples.
        scopes = [Scope(verb, parse_resource(place)) for verb in VERBS for place in ("job_result/1", "userdata")]
        token = server.file_token(scopes)
        files = HttpFileStore()
        for place in ("job_result/1/scan.omni", "userdata/scan.isq"):
            files.upload(token, scans / "a.isq", parse_resource(place))
        yield Served(embedded.url, embedded.admin_token, token.token)
        files.close()
        transport.close()


@schema.parametrize()
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_documented(case, served):
    headers = {"Authorization": f"Bearer {served.token_for(case)}"}
    response = case.call(base_url=served.url, headers=headers, timeout=120)
    assert response.status_code < 500, response.text
    # The file store answers requests that it does not have with 400, and those of another version of tus with 412.
    of_files = case.path.startswith(FSS)
    excluded = [unsupported_method, missing_required_header] if of_files else []
    # Which values belong together (references, states, locks) is no part of a schema, so good data may be refused.
    case.validate_response(response, checks=CHECKS, excluded_checks=excluded)


def test_requests_that_go_on_from_what_others_made_are_answered_as_documented(served):
    """Chains of requests: what one answer names is used by the next, as far as the document lets that be seen."""
    linked = schemathesis.openapi.from_dict(document())

    class Steps(linked.as_state_machine()):
        def get_call_kwargs(self, case):
            headers = {"Authorization": f"Bearer {served.token_for(case)}"}
            return {"base_url": served.url, "headers": headers, "timeout": 120}

        def validate_response(self, response, case, **_):
            assert response.status_code < 500, response.text
            of_files = case.path.startswith(FSS)
            excluded = [unsupported_method, missing_required_header] if of_files else []
            case.validate_response(response, checks=CHECKS, excluded_checks=excluded)

    chains = settings(
        max_examples=15,
        stateful_step_count=10,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Steps, settings=chains)
