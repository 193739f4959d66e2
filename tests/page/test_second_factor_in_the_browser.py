"""A second factor in the browser: set up, asked for and removed by the keyboard, and readable for everybody."""

import re

import pyotp

from tests.page.site_data import PASSWORD
from xfworker.adapters.http.xf_server import BASE


def findings(page, axe):
    """What the accessibility checker finds in light and dark, and whether the page fits a phone."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, { iframes: false })")["violations"]
    page.emulate_media(color_scheme="dark")
    found += page.evaluate("axe.run(document, { iframes: false, runOnly: ['color-contrast'] })")["violations"]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 390, "height": 844})
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size({"width": 1280, "height": 900})
    return [f"{page.url}: {item['id']}" for item in found] + ([f"{page.url}: {wide}"] if wide > 390 else [])


def test_a_second_factor_is_set_up_asked_for_and_removed_by_the_keyboard(visit, site, axe):
    body = {"name": "dora", "password": PASSWORD}
    site.platform.transport.request("POST", f"{BASE}/accounts", doing="add", json_body=body)
    page = visit("/people", as_whom="dora", expected=("401", "inline style"))
    page.get_by_label("Current password").last.fill(PASSWORD)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    secret = page.locator("#secret").inner_text()
    assert re.fullmatch("[A-Z2-7]{32}", secret)
    assert page.get_by_role("img", name="QR code").locator("svg").bounding_box()["width"] > 150
    found = findings(page, axe)
    for _ in range(2):  # where the next 30 s begin just after the first code was made
        page.keyboard.type(pyotp.TOTP(secret).now())  # the field has the focus
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Recovery codes").or_(page.get_by_role("alert")).wait_for()
        if page.get_by_role("alert").count() == 0:
            break
    codes = page.locator(".codes code").all_inner_texts()
    assert len(codes) == 10
    found += findings(page, axe)
    page.get_by_role("link", name="I have kept them").click()
    page.get_by_text("10 recovery codes are left").wait_for()
    found += findings(page, axe)

    other = visit("/sign-in", as_whom=None, expected=("401", "inline style"))
    other.get_by_label("Name").fill("dora")
    other.get_by_label("Password").fill(PASSWORD)
    other.keyboard.press("Enter")
    other.get_by_label("Code of your").wait_for()
    found += findings(other, axe)
    other.keyboard.type("000000")
    other.keyboard.press("Enter")
    other.get_by_role("alert").wait_for()
    other.keyboard.type(codes[0].upper())
    other.keyboard.press("Enter")
    other.wait_for_url(f"{site.url}/")

    page.get_by_label("Current password").last.fill(PASSWORD)
    page.get_by_label("Code, or a recovery code").fill(codes[1])
    page.get_by_role("button", name="Remove it").click()
    page.get_by_role("button", name="Set up a second factor").wait_for()
    assert found == []
