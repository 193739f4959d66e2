"""Names and reports by somebody who means harm: they are shown as text, break no page, and reach nothing."""

import pytest

from xfworker.domain.change import Change
from xfworker.domain.files import Scope, userdata_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Run, Task, TaskType, TaskTypeKind, Workflow

TURNED = "\u202e"
NAME = f"<img src=x onerror=alert(1)>\"'{TURNED}x../../etc/" + "long" * 30
FILE = f"report{TURNED}gpj.exe"
LONG = "n" * 240 + ".txt"
REPORT = b"""<!doctype html><p>hostile</p><a id="self" href="/userdata">self</a>
<form action="/sign-out" method="post"><button id="out">out</button></form><script>
document.getElementById('out').click();
try { top.location = '/people' } catch (e) { document.title = 'refused' }
try { window.open('/people') } catch (e) { document.title = 'refused' }
try { localStorage.setItem('x', 'y') } catch (e) { document.title = 'refused' }
</script>"""


@pytest.fixture(scope="session")
def hostile(site):
    """A project in which everything has a hostile name."""
    admin = site.anna
    project = admin.create(Project(name=NAME)).serial
    workflow = admin.create(Workflow(project_serial=project, name=NAME)).serial
    outputs = [{"key": key, "type": "ForeignFile"} for key in ("file", "long")]
    interface = {"outputs": [*outputs, {"key": "words", "type": "String"}, {"key": "report", "type": "HTMLDocument"}]}
    kind = admin.create(TaskType(name="Lab.Hostile", kind=TaskTypeKind.INTERACTIVE, interface=interface)).serial
    task = admin.create(Task(workflow_serial=workflow, task_type_serial=kind, name=NAME)).serial
    jobs, runs = [], []
    for index in range(2):
        entity = {"uuid": f"h{index}", "name": NAME}
        runs.append(admin.create(Run(workflow_serial=workflow, name=NAME, entity=entity)).serial)
        state = JobState.READY_FOR_INTERACTIVE
        job = admin.create(Job(task_serial=task, run_serial=runs[-1], state=state, name=NAME)).serial
        stored = {key: site.store("job_result", job, name, b"x") for key, name in (("file", FILE), ("long", LONG))}
        report = site.store("job_result", job, "hostile.html", REPORT)
        values = {key: {"type": "ForeignFile", **reference} for key, reference in stored.items()}
        values |= {"words": NAME, "report": {"type": "HTMLDocument", **report}}
        admin.update(Job, job, Change(values={"/outputs": values, "/state": "Done"}))
        jobs.append(job)
    for name in (FILE, LONG):
        resource = userdata_resource(f"hostile/{name}")
        path = site.platform.folder / "upload.bin"
        path.write_bytes(b"x")
        site.platform.files.upload(site.platform.server.file_token([Scope("write", resource)]), path, resource)
    return {"project": project, "workflow": workflow, "run": runs[0], "a": jobs[0], "b": jobs[1]}


PAGES = [
    "/",
    "/projects/{project}",
    "/workflows/{workflow}",
    "/workflows/{workflow}?run={run}",
    "/workflows/{workflow}/edit",
    "/workflows/{workflow}/charts",
    "/runs/{run}",
    "/jobs/{a}",
    "/jobs/{a}/append",
    "/compare?a={a}",
    "/compare?a={a}&b={b}",
    "/userdata/hostile",
    "/disk/free",
]


def test_hostile_names_are_text_on_every_page_and_fit_a_phone(visit, site, hostile):
    blocked = ("sandboxed", "Unsafe attempt", "X-Frame-Options", "frame-ancestors", "localStorage", "SecurityError")
    page = visit(as_whom="owner", viewport={"width": 390, "height": 844}, expected=blocked)
    findings = []
    page.on("dialog", lambda dialog: (findings.append(f"{page.url}: {dialog.message}"), dialog.dismiss()))
    for template in PAGES:
        path = template.format(**hostile)
        page.goto(site.url + path)
        page.locator("h1").first.wait_for()
        if page.locator("img[src=x], [onerror]").count():
            findings.append(f"{path}: a name became an element")
        if "/workflows/" in path and "?" in path:
            page.locator("#panel h2").wait_for()
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > 390:
            findings.append(f"{path}: {wide} pixels wide")
    assert findings == []
    page.goto(f"{site.url}/userdata/hostile")
    page.get_by_role("link", name="report<U+202E>gpj.exe").wait_for()


def test_a_hostile_report_leads_nowhere_and_signs_nobody_out(visit, site, hostile):
    blocked = ("sandboxed", "Unsafe attempt", "X-Frame-Options", "frame-ancestors", "localStorage", "SecurityError")
    blocked += ("Blocked form submission", "Blocked opening", "Refused to frame", "Refused to display", "Framing")
    page = visit(f"/jobs/{hostile['a']}", expected=blocked)
    report = page.frame_locator("iframe.report")
    report.get_by_text("hostile").wait_for()
    # What it leads to in its own frame lets itself be framed by nobody.
    with page.expect_event("framenavigated"):
        report.locator("#self").click()
    assert page.url.endswith(f"/jobs/{hostile['a']}")
    assert len(page.context.pages) == 1
    assert page.frames[-1].locator("#file-list").count() == 0
    page.goto(f"{site.url}/")
    assert page.get_by_role("button", name="Sign out").is_visible()
