"""The board of runs and tasks: what it shows, moving about on it, what changes, and what it says when it is cut off."""

import pytest

from benchmarks.board_data import fill_board
from tests.page.conftest import served_site
from xfworker.api.composition.local_platform import local_platform
from xfworker.domain.change import Change
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site of its own: other tests append tasks and jobs to the shared one, in any order."""
    with served_site(tmp_path_factory.mktemp("board")) as made:
        yield made


@pytest.fixture
def run(site):
    """A run of its own for a test that changes it."""
    made = site.platform.server.create(Run(workflow_serial=site.workflow, name="changing"))
    return made.serial


def add_job(site, run, task, state=JobState.READY):
    return site.platform.server.create(Job(task_serial=task, run_serial=run, state=state))


def cell(page, run, text):
    return page.locator(".row", has_text=run).get_by_role("gridcell", name=text)


def test_the_board_has_a_row_for_each_run_and_a_column_for_each_task(visit, site):
    page = visit(f"/workflows/{site.workflow}")
    headers = page.get_by_role("columnheader")
    headers.nth(3).wait_for()
    assert headers.all_inner_texts() == ["Run", "Scan", "Measure", "Judge"]
    row = page.locator(".row", has_text="mouse 1")
    assert row.get_by_role("gridcell").nth(0).get_attribute("aria-label") == "Scan: Failed"
    assert row.get_by_role("gridcell").nth(2).get_attribute("aria-label") == "Judge: For a person"


def test_search_filters_and_sorting_are_in_the_address(visit, site, run):
    page = visit(f"/workflows/{site.workflow}")
    page.locator(".row", has_text="changing").first.wait_for()
    page.get_by_label("Search runs").fill("mickey")
    page.get_by_role("button", name="Failed").click()
    page.get_by_label("Sort").select_option("name")
    assert page.locator(".row").all_inner_texts()[0].startswith("mouse 1")
    assert page.locator(".row").count() == 1
    address = page.evaluate("location.search")
    assert address == "?q=mickey&sort=name&state=F"
    page.reload()
    page.locator(".row", has_text="mouse 1").wait_for()
    assert page.locator(".row").count() == 1
    assert page.get_by_role("button", name="Failed").get_attribute("aria-pressed") == "true"


def test_a_board_is_moved_about_in_by_keyboard(visit, site):
    page = visit(f"/workflows/{site.workflow}?q=mickey")
    page.locator(".row", has_text="mouse 1").wait_for()
    page.locator(".cell[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator("#panel").get_by_role("link", name="Work on this").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Judge: For a person"
    page.keyboard.press("Escape")
    assert page.locator("#panel").is_hidden()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "board-search"


def test_what_happens_is_shown_while_the_board_is_looked_at(visit, site, run):
    page = visit(f"/workflows/{site.workflow}?q=changing")
    page.locator(".row", has_text="changing").first.wait_for()
    job = add_job(site, run, site.judge, JobState.READY_FOR_INTERACTIVE)
    label = f"changing {run}"
    site.platform.server.update(Run, run, Change(values={"/name": label}))
    cell(page, label, "Judge: For a person").wait_for()
    site.platform.server.update(Job, job.serial, Change(values={"/state": "Aborted"}))
    cell(page, label, "Judge: Aborted").wait_for()


def test_the_keyboard_stays_at_its_run_when_a_new_one_comes_above_it(visit, site):
    page = visit(f"/workflows/{site.workflow}")
    focused = cell(page, "mouse 1", "Judge: For a person")
    focused.focus()
    added = site.platform.server.create(Run(workflow_serial=site.workflow, name="changing above"))
    page.locator(".row", has_text="changing above").wait_for()
    assert focused.evaluate("cell => cell === document.activeElement")
    site.platform.server.update(Run, added.serial, Change(values={"/obsolete": True}))
    page.locator(".row", has_text="changing above").wait_for(state="detached")
    assert focused.evaluate("cell => cell === document.activeElement")


def test_runs_and_jobs_are_changed_from_the_panel(visit, site, run):
    job = add_job(site, run, site.measure)
    page = visit(f"/workflows/{site.workflow}?run={run}")
    panel = page.locator("#panel")
    panel.get_by_label("Name").fill(f"renamed {run}")
    panel.get_by_role("button", name="Rename").click()
    page.locator(".run", has_text=f"renamed {run}").wait_for()
    panel.get_by_label("Priority").select_option("High")
    panel.get_by_role("button", name="Set").click()
    page.get_by_text("The priority is set.").wait_for()
    cell(page, f"renamed {run}", "Measure").click()
    page.once("dialog", lambda dialog: dialog.accept())
    panel.get_by_role("button", name="Abort").click()
    cell(page, f"renamed {run}", "Measure: Aborted").wait_for()
    assert site.platform.server.get(Job, job.serial).state is JobState.ABORTED
    page.once("dialog", lambda dialog: dialog.accept())
    panel.get_by_role("button", name="Restart").click()
    cell(page, f"renamed {run}", "Measure: Ready").wait_for()
    page.goto(f"{site.url}/workflows/{site.workflow}?run={run}")
    page.once("dialog", lambda dialog: dialog.accept())
    panel.get_by_role("button", name="Make obsolete").click()
    page.locator(".run", has_text=f"renamed {run}").wait_for(state="detached")
    assert site.platform.server.get(Run, run).obsolete


def test_a_run_is_copied_from_the_panel(visit, site):
    page = visit(f"/workflows/{site.workflow}?run={site.run}")
    page.locator("#panel").get_by_role("button", name="Copy").click()
    page.locator(".run", has_text="mouse 1 (copy)").first.wait_for()


def test_a_lost_connection_is_said_and_what_was_missed_is_shown_afterwards(visit, site, run):
    page = visit(f"/workflows/{site.workflow}?q=changing", expected=("ERR_INTERNET_DISCONNECTED", "ERR_NETWORK"))
    page.locator(".row", has_text="changing").first.wait_for()
    lost = page.locator(".lost")
    page.locator("body[data-connection=live]").wait_for()
    page.context.set_offline(True)
    # What is open already is not cut by that; the stream ends when the page is looked at again.
    page.evaluate("window.dispatchEvent(new Event('online'))")
    lost.wait_for()
    job = add_job(site, run, site.judge, JobState.READY_FOR_INTERACTIVE)
    site.platform.server.update(Run, run, Change(values={"/name": f"changing {run}"}))
    assert job.serial
    page.context.set_offline(False)
    lost.wait_for(state="hidden")
    cell(page, f"changing {run}", "Judge: For a person").wait_for()


def test_a_board_of_1000_runs_by_30_tasks_keeps_only_what_is_in_sight(tmp_path, browser):
    workflow = fill_board(tmp_path / "data", runs=1000, tasks=30)
    with local_platform(tmp_path / "data") as platform:
        link = platform.transport.request("POST", "/xf/v1/page-links", doing="link").json()["path"]
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        page = context.new_page()
        page.goto(f"{platform.embedded.endpoint.url}{link}?next=/workflows/{workflow}")
        page.get_by_text("1000 of 1000 runs").wait_for()
        assert page.locator(".row").count() < 80
        board = page.locator("#board")
        board.evaluate("board => { board.scrollTop = board.scrollHeight }")
        page.get_by_text("TIB-0000 right").wait_for()
        assert page.locator(".row").count() < 80
        page.get_by_label("Search runs").fill("TIB-0500")
        page.get_by_text("1 of 1000 runs").wait_for()
        context.close()


def test_two_results_are_chosen_on_the_board_and_compared(visit, site, run):
    other = add_job(site, run, site.measure, JobState.DONE)
    page = visit(f"/workflows/{site.workflow}")
    second = cell(page, "changing", "Measure: Done")
    second.wait_for()
    first = cell(page, "mouse 1", "Measure: Done, the newest of 2 jobs")
    first.focus()
    first.press("c")
    page.get_by_text("Choose the second result").wait_for()
    assert "the first of two to compare" in first.get_attribute("aria-label")
    assert first.evaluate("cell => cell === document.activeElement")
    first.press("Escape")
    assert "compare" not in first.get_attribute("aria-label")
    first.press("c")
    second.click(modifiers=["Shift"])
    page.wait_for_url(f"**/compare?a=*&b={other.serial}")
    assert page.get_by_role("heading", name="Two results").is_visible()
