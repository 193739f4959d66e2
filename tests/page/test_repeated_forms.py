"""Forms that are sent twice, by a second click or by a browser that repeats a request: what they say happens once."""

import re

from tests.page.test_signing_in import ask, cookie_of, sign_in
from xfworker.domain.change import Change
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run


def fields_of(page, action):
    """Give the fields of a page's form for an action."""
    form = re.search(f'<form method="post" action="{action}".*?</form>', page)[0]
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))


def test_a_form_that_is_sent_again_leaves_what_the_job_did_since(site):
    server = site.platform.server
    job = server.create(Job(task_serial=site.measure, run_serial=site.run, state=JobState.READY)).serial
    cookie = cookie_of(sign_in(site))

    def read():
        return ask(f"{site.url}/jobs/{job}", cookie=cookie).data.decode()

    def send(action, page):
        url = f"/jobs/{job}/{action}"
        assert ask(f"{site.url}{url}", cookie=cookie, data=fields_of(page, url)).status == 303
        return server.get(Job, job).state

    def move(state):
        server.update(Job, job, Change(values={"/state": state.value}))

    page = read()
    assert send("abort", page) is JobState.ABORTED
    aborted = read()
    move(JobState.READY)
    assert send("abort", page) is JobState.READY
    move(JobState.ABORTED)
    assert send("restart", aborted) is JobState.READY
    move(JobState.ABORTED)
    assert send("restart", aborted) is JobState.ABORTED


def test_a_run_is_copied_once_by_one_form_and_again_by_the_next(site):
    server = site.platform.server
    cookie = cookie_of(sign_in(site))
    url = f"/runs/{site.run}/copy"

    def read():
        return ask(f"{site.url}/runs/{site.run}", cookie=cookie).data.decode()

    def runs_after(page):
        assert ask(f"{site.url}{url}", cookie=cookie, data=fields_of(page, url)).status == 303
        return len(server.find(Run))

    before, page = len(server.find(Run)), read()
    assert [runs_after(page), runs_after(page), runs_after(read())] == [before + 1, before + 1, before + 2]
