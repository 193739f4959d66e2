"""An administrator looks at the disk and frees space; others may neither."""

from urllib.parse import urlsplit

from xfworker.domain.change import Change
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run


def test_files_of_obsolete_runs_are_deleted_when_an_administrator_says_so(visit, site):
    admin = site.platform.server
    jobs = []
    for name in ("old <i>one</i>", "old, but used"):
        run = admin.create(Run(workflow_serial=site.workflow, name=name)).serial
        job = admin.create(Job(task_serial=site.measure, run_serial=run, state=JobState.READY_FOR_INTERACTIVE)).serial
        outputs = {"out": {"type": "ForeignFile", **site.store("job_result", job, "big.bin", b"x" * 3000)}}
        admin.update(Job, job, Change(values={"/outputs": outputs, "/state": "Done"}))
        admin.update(Run, run, Change(values={"/obsolete": True}))
        jobs.append(job)
    used = {"source": "job_result", "job_serial": jobs[1], "filename": "big.bin"}
    user = admin.create(
        Job(task_serial=site.measure, run_serial=site.run, state=JobState.WAITING, metadata={"x": used})
    )
    page = visit("/disk", as_whom="owner")
    page.get_by_role("button", name="Measure now").click()
    row = page.locator("tbody tr", has_text="Femur")
    row.wait_for()
    assert "KiB" in row.inner_text()
    row.get_by_role("link", name="Free space").click()
    page.get_by_text("2.9 KiB would be deleted for good (files: 1, runs: 1).").wait_for()
    assert page.get_by_role("link", name="old <i>one</i>").is_visible()
    assert page.get_by_text(f"job {user.serial} uses files of job {jobs[1]}").is_visible()
    said = []
    page.once("dialog", lambda dialog: (said.append(dialog.message), dialog.accept()))
    page.get_by_role("button", name="Delete 2.9 KiB").click()
    page.wait_for_url(lambda url: urlsplit(url).path == "/disk")
    assert said == ["Delete 2.9 KiB (files: 1) for good? This cannot be taken back."]
    assert [("files_deleted" in admin.get(Job, job).metadata) for job in jobs] == [True, False]
    page.goto(f"{site.url}/disk/free?workflow={site.workflow}")
    page.get_by_text("No files of obsolete runs can be deleted.").wait_for()


def test_who_is_not_an_administrator_sees_and_frees_nothing(visit, site):
    page = visit("/disk", expected=("403",))
    page.get_by_text("anna may not see what takes disk space").wait_for()
    page.goto(f"{site.url}/disk/free")
    page.get_by_text("anna may not delete files of obsolete runs").wait_for()
    refused = page.evaluate(
        """async () => (await fetch('/disk/free', { method: 'POST', body: new URLSearchParams({ runs: '1' }),
        headers: { 'x-csrf-token': document.querySelector('meta[name="csrf-token"]').content } })).status"""
    )
    assert refused == 403
