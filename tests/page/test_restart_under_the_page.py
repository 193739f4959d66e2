"""A server that is killed under open pages and started again: that is said, and nothing is missed or lost."""

import subprocess
import sys

import pytest

from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import BASE, HttpXFServer
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.change import Change
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Run, Task, TaskType, TaskTypeKind, Workflow


@pytest.fixture
def embedded(tmp_path):
    with EmbeddedServer(tmp_path / "data") as embedded:
        yield embedded


def test_pages_go_on_with_a_server_that_was_killed_and_started_again(browser, embedded):
    url, port = embedded.url, embedded.port
    transport = HttpTransport(url, token=embedded.admin_token, limits=HttpLimits(attempts=100, patience_seconds=60.0))
    admin = HttpXFServer(transport)
    project = admin.create(Project(name="p")).serial
    workflow = admin.create(Workflow(project_serial=project, name="w", state="Active")).serial
    interface = {"inputs": [], "outputs": [{"key": "note", "type": "String"}]}
    kind = admin.create(TaskType(name="T", kind=TaskTypeKind.INTERACTIVE, interface=interface)).serial
    task = admin.create(Task(workflow_serial=workflow, task_type_serial=kind, name="Judge")).serial
    run = admin.create(Run(workflow_serial=workflow, name="before")).serial
    job = admin.create(Job(task_serial=task, run_serial=run, state=JobState.READY_FOR_INTERACTIVE)).serial
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    board = context.new_page()
    link = transport.request("POST", f"{BASE}/page-links", doing="link").json()["path"]
    board.goto(f"{url}{link}?next=/workflows/{workflow}?run={run}")
    board.goto(f"{url}/workflows/{workflow}?run={run}")
    panel = board.locator("#panel")
    panel.get_by_label("Name").fill("typed")
    form = context.new_page()
    form.goto(f"{url}/jobs/{job}")
    form.get_by_label("note").fill("a long thought")
    board.locator("body[data-connection=live]").wait_for()
    embedded.kill()
    board.locator(".lost").wait_for()
    form.locator(".lost").wait_for()
    form.get_by_role("button", name="Finish").click()
    form.get_by_text("Not sent: the server does not answer.").wait_for()
    assert form.get_by_label("note").input_value() == "a long thought"
    panel.get_by_role("button", name="Rename").click()
    board.get_by_text("The server does not answer; try again").wait_for()
    assert panel.get_by_label("Name").input_value() == "typed"
    words = ["serve", "--data", str(embedded.data), "--port", str(port), "--end-with-input", "--no-durable"]
    again = subprocess.Popen([sys.executable, "-m", "xfworker", *words], stdin=subprocess.PIPE)
    try:
        # The client repeats what a server that is not there yet does not answer.
        admin.update(Run, run, Change(values={"/name": "renamed meanwhile"}))
        board.locator(".run", has_text="renamed meanwhile").wait_for()
        board.locator(".lost").wait_for(state="hidden")
        form.locator(".lost").wait_for(state="hidden", timeout=20_000)
        form.get_by_role("button", name="Finish").click()
        form.locator(".state-Done").first.wait_for()
        assert admin.get(Job, job).outputs == {"note": "a long thought"}
    finally:
        context.close()
        again.stdin.close()
        again.wait(30)
        transport.close()
