"""Two results side by side: numbers with what is between them, tables, pictures, and viewers that go together."""

import pytest

from tests.page.site_data import make_other


@pytest.fixture(scope="session")
def other(site):
    return make_other(site)


def test_a_job_is_compared_with_another_runs_result_of_its_task(visit, site, other):
    page = visit(f"/jobs/{site.measured}")
    page.get_by_role("link", name="Compare").click()
    page.get_by_role("link", name="mouse 2").click()
    page.wait_for_url(f"**/compare?a={site.measured}&b={other}")
    row = page.get_by_role("row", name="volume", exact=False).first
    assert row.locator("td").all_inner_texts() == ["2.25", "2.7", "+0.45", "1.2", "mm³"]
    table = page.locator("section", has_text="differences: 1")
    assert table.locator(".places li").inner_text() == "line 5, column 2: 4.5 → 4.75"
    assert table.get_by_text("40 rows, 3 columns").count() == 2
    assert page.locator("section", has_text="the same content").locator("img.picture").count() == 2
    assert page.get_by_text("Only B has: count").is_visible()
    page.get_by_role("link", name="Swap A and B").click()
    assert page.get_by_role("row", name="volume", exact=False).first.locator("td").nth(2).inner_text() == "-0.45"


STATE = "viewers => viewers.map(v => [v.scale, ...v.cross, ...v.window, ...v.centre].map(n => n.toFixed(6)).join())"


def test_images_side_by_side_move_together_until_they_are_unlinked(visit, site, other):
    page = visit(f"/compare?a={site.measured}&b={other}")
    viewers = page.locator("xf-slices")
    viewers.first.scroll_into_view_if_needed()
    viewers.nth(1).locator("[role=slider][aria-valuenow]").first.wait_for()
    plane = viewers.first.locator("[role=slider]").first
    plane.focus()
    for key in ("PageUp", "ArrowRight", "+", "]", "}"):
        page.keyboard.press(key)
    left, right = viewers.evaluate_all(STATE)
    assert left == right
    page.get_by_label("Linked", exact=True).uncheck()
    plane.focus()
    page.keyboard.press("PageUp")
    left, right = viewers.evaluate_all(STATE)
    assert left != right
    page.get_by_label("Linked", exact=True).check()
    left, right = viewers.evaluate_all(STATE)
    assert left == right


def test_the_difference_of_two_images_is_shown_around_zero_when_it_is_opened(visit, site, other):
    page = visit(f"/compare?a={site.measured}&b={other}")
    page.get_by_text("volume_image: B minus A, voxel by voxel").click()
    viewer = page.locator("details.difference xf-slices")
    viewer.locator("[role=slider][aria-valuenow]").first.wait_for()
    # Both are the same image here.
    viewer.locator(".value", has_text="0").first.wait_for()
    low, high = viewer.evaluate("({ window }) => window")
    assert (low, high) == (-high, 1.0)
    assert viewer.evaluate("({ source }) => source.description.name") == "scan.omni - scan.omni"
    assert not viewer.get_by_role("button", name="3-D").is_visible()


def test_a_job_that_may_not_be_seen_is_not_compared(visit, site, other):
    page = visit(f"/compare?a={site.measured}&b={other}", as_whom="bob", expected=("404",))
    assert page.get_by_text(f"there is no job {site.measured}").is_visible()
    page = visit(f"/compare?a={site.measured}&b=1e3", expected=("400", "422"))
    assert page.get_by_text("expected the number of a job").is_visible()
