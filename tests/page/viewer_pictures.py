"""
Makes the pictures of docs/viewer.md from the demonstration's phantom.

Run as: python -m tests.page.viewer_pictures docs/pictures
"""

import json
import math
import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.page.conftest import FLAGS
from xfworker.adapters.images.registry import image_formats
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.demo.phantom import THRESHOLD, write_phantom
from xfworker.services.images.thresholding import threshold

_MOUNT = """async ([attributes]) => {
  const base = document.querySelector('link[rel=stylesheet]').href.replace(/[^/]*$/, '');
  await import(base + 'slices.js');
  const viewer = document.createElement('xf-slices');
  for (const [name, value] of Object.entries(attributes)) viewer.setAttribute(name, value);
  const main = document.querySelector('main');
  main.replaceChildren(viewer);
  viewer.id = 'viewer';
  await new Promise((ready) => viewer.addEventListener('xf-value', ready, { once: true }));
}"""
_READY = """() => {
  const { source, segments, moving } = document.querySelector('xf-slices');
  const isReady = (one) => !one || (one.description?.pyramid.state === 'complete' && !one.isWaiting);
  return [source, segments, moving].every(isReady);
}"""


def main(folder: Path) -> None:
    """Make every picture in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("XFWORKER_TEST_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as temporary:
        files = Path(temporary) / "files" / "userdata"
        files.mkdir(parents=True)
        write_phantom(files / "phantom.aim")
        formats = image_formats()
        with formats.reader(files / "phantom.aim") as reader:
            threshold(formats, reader, files / "bone.omni", lower=THRESHOLD, unit_type="Density", label="bone")
        with EmbeddedServer(Path(temporary)) as server, sync_playwright() as started:
            browser = started.chromium.launch(executable_path=chromium, args=FLAGS)
            context = browser.new_context(viewport={"width": 960, "height": 860})
            context.add_cookies([{"name": f"xfworker-{server.port}", "value": server.admin_token, "url": server.url}])
            page = context.new_page()
            page.goto(server.url)
            _planes(page, folder / "viewer-planes.png")
            _box(page, folder / "viewer-box.png")
            _registration(page, folder / "viewer-registration.png")
            _phone(page, folder / "viewer-phone.png")
            browser.close()


def _show(page: Page, **attributes: str) -> None:
    page.evaluate(_MOUNT, [{"src": "/slices/userdata/phantom.aim", "label": "The phantom", **attributes}])
    _settle(page)


def _settle(page: Page) -> None:
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    while not page.evaluate(_READY):
        page.wait_for_timeout(50)
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


def _planes(page: Page, picture: Path) -> None:
    _show(page, segments="userdata/bone.omni")
    page.evaluate("document.querySelector('xf-slices').moveCross([88, 96, 40])")
    page.wait_for_timeout(500)
    _settle(page)
    page.locator("xf-slices").screenshot(path=picture)


def _box(page: Page, picture: Path) -> None:
    _show(page, mode="rotated-voi")
    page.evaluate(
        """() => {
            const viewer = document.querySelector('xf-slices');
            viewer.createShape();
            viewer.shape.fields({}).at(-1).set(25);
            viewer.changed(false);
        }"""
    )
    _settle(page)
    page.locator("xf-slices").screenshot(path=picture)


def _registration(page: Page, picture: Path) -> None:
    turn = math.radians(4)
    transform = [
        *(math.cos(turn), -math.sin(turn), 0, 0.5),
        *(math.sin(turn), math.cos(turn), 0, -0.4),
        *(0, 0, 1, 0, 0, 0, 0, 1),
    ]
    _show(page, moving="userdata/phantom.aim", transform=json.dumps(transform))
    page.get_by_role("combobox", name="Second image").select_option("squares")
    page.wait_for_timeout(500)
    _settle(page)
    page.locator("xf-slices").screenshot(path=picture)


def _phone(page: Page, picture: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    _show(page, segments="userdata/bone.omni")
    page.locator("xf-slices").scroll_into_view_if_needed()
    page.locator("xf-slices").screenshot(path=picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
