"""The image viewer in a browser: what it shows and gives is what numpy has, by pointer, by keyboard, on a phone."""

import io
import json
import time
import urllib.request

import numpy as np
import psutil
import pytest
from PIL import Image

from xfworker.adapters.images.registry import image_formats
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.parameter_shapes import shape_violations

playwright = pytest.importorskip("playwright.sync_api", reason="the page is not tested: playwright is not installed")

SIZE = (120, 90, 70)  # x, y, z
SPACING = (0.5, 0.5, 1.0)
PARAMETER = {"type": "Image", "source": "userdata", "virtualpath": "", "filename": "a.omni"}

MOUNT = """async ([base, viewers]) => {
  window.violations = [];
  addEventListener('securitypolicyviolation', ({ violatedDirective: rule }) => violations.push(rule));
  await import(base + '/slices.js');
  const main = document.querySelector('main');
  main.replaceChildren();
  await Promise.all(viewers.map((attributes) => new Promise((ready) => {
    const viewer = document.createElement('xf-slices');
    for (const [name, value] of Object.entries(attributes)) viewer.setAttribute(name, value);
    viewer.values = [];
    viewer.changes = [];
    viewer.addEventListener('xf-value', ({ detail }) => { viewer.values.push(detail); ready(); });
    viewer.addEventListener('xf-change', ({ detail }) => viewer.changes.push(detail));
    main.append(viewer);
  })));
}"""


def write_image(folder, name, voxels, **fields):
    path = folder / name
    info = ImageInfo(
        path=path,
        format="OMNI",
        size=voxels.shape[::-1],
        pixel_type=PixelType(str(voxels.dtype)),
        pixels_path=path,
        spacing_mm=SPACING,
        **fields,
    )
    with image_formats().writer(path, info) as writer:
        writer.write(voxels)


def write_sparse_60_gib(folder):
    """Write an image of 60 GiB of which only some voxels are on the disk: value 1000 in a column along z."""
    write_image(folder, "large.omni", np.zeros((1, 8, 8), np.int16))
    document = json.loads((folder / "large.omni").read_text())
    size = [3200, 3200, 3146]
    document["size"] = size
    (folder / "large.omni").write_text(json.dumps(document))
    with (folder / "large.raw").open("r+b") as file:
        file.truncate(2 * size[0] * size[1] * size[2])
        for z in range(0, size[2], 16):
            file.seek(2 * (z * size[1] + 1600) * size[0] + 2 * 1600)
            file.write(np.int16(1000).tobytes())


@pytest.fixture(scope="module")
def voxels():
    return np.random.default_rng(3).integers(-2000, 4000, SIZE[::-1]).astype(np.int16)


@pytest.fixture(scope="module")
def server(tmp_path_factory, voxels):
    data = tmp_path_factory.mktemp("server")
    folder = data / "files" / "userdata"
    folder.mkdir(parents=True)
    density = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.25, intercept=-200.0)
    write_image(folder, "a.omni", voxels, calibrations=(density,), default_unit_type="Density", origin_mm=(10, 20, 30))
    write_image(folder, "plain.omni", voxels[:, :, ::-1].copy(), origin_mm=(10, 20, 30))
    write_image(folder, "f.omni", voxels.astype(np.float32) / 3)
    labels = np.zeros((10, 90, 120), np.uint8)
    labels[:, 40:50, 30:90] = 2
    write_image(
        folder,
        "seg.omni",
        labels,
        kind="segments",
        labels=({"value": 2, "name": "cortex"},),
        origin_mm=(10, 20, 60),
    )
    write_sparse_60_gib(folder)
    with EmbeddedServer(data) as running:
        yield running


class Viewer:
    """One or more viewers on a page, and what a person does with the first of them."""

    def __init__(self, page):
        self.page = page

    def get(self, expression, number=0):
        return self.page.evaluate(f"document.querySelectorAll('xf-slices')[{number}].{expression}")

    def wait(self, expression, number=0):
        # Asked from here: what waits in the page would need eval, which the page's policy refuses.
        deadline = time.monotonic() + 30
        while not self.get(expression, number):
            assert time.monotonic() < deadline, f"{expression} did not come true"
            self.page.wait_for_timeout(20)

    def plane(self, axis, number=0):
        return self.page.locator("xf-slices").nth(number).locator(f".plane[data-axis={axis}]")

    def at(self, axis, voxel):
        """Give where a voxel's centre is on the page."""
        box = self.plane(axis).bounding_box()
        x, y = self.get(f"planes.{axis}.at({json.dumps(voxel)})")
        return box["x"] + x, box["y"] + y

    def drag(self, axis, start, end):
        self.page.mouse.move(*self.at(axis, start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(axis, end), steps=4)
        self.page.mouse.up()

    def settle(self):
        """Wait until a frame was drawn with every tile that it needs."""
        self.page.evaluate(
            """() => new Promise((done) => {
                const look = () => {
                  const viewers = [...document.querySelectorAll('xf-slices')];
                  const missing = viewers.some(({ source, segments, moving }) =>
                    [source, segments, moving].some((one) => one?.isWaiting));
                  missing ? setTimeout(look, 20) : requestAnimationFrame(() => requestAnimationFrame(done));
                };
                requestAnimationFrame(() => requestAnimationFrame(look));
            })"""
        )

    def colour(self, axis, voxel):
        """Give red, green and blue where a voxel's centre is drawn."""
        return self.page.evaluate(
            """([axis, voxel]) => {
                const viewer = document.querySelector('xf-slices');
                const { canvas } = viewer.planes[axis];
                const at = viewer.planes[axis].at(voxel).map((place) => Math.floor(place * devicePixelRatio));
                return [...canvas.getContext('2d').getImageData(...at, 1, 1).data.slice(0, 3)];
            }""",
            [axis, voxel],
        )


@pytest.fixture
def view(browser, server):
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    context.add_cookies([{"name": f"xfworker-{server.port}", "value": server.admin_token, "url": server.url}])
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if "INVALID" in message.text else None)

    def open_viewers(*viewers, **attributes):
        page.goto(f"{server.url}/")
        base = page.evaluate("document.querySelector('link[rel=stylesheet]').href").rpartition("/")[0]
        page.evaluate(MOUNT, [base, list(viewers) or [{"src": "/slices/userdata/a.omni", **attributes}]])
        viewer = Viewer(page)
        viewer.settle()
        return viewer

    yield open_viewers
    assert page.evaluate("window.violations") == []
    assert errors == []
    context.close()


def grey(value, window):
    return round(float(np.clip((value - window[0]) / (window[1] - window[0]), 0, 1)) * 255)


@pytest.mark.parametrize("renderer", ["", "canvas"])
def test_every_plane_shows_the_voxels_through_the_window(view, voxels, renderer):
    viewer = view(renderer=renderer)
    assert viewer.get("dataset.renderer") == (renderer or "webgl2")
    viewer.page.evaluate("document.querySelector('xf-slices').setWindow([-1000, 3000])")
    viewer.wait("source.description.pyramid.state === 'complete'")
    viewer.settle()
    x, y, z = viewer.get("cross")
    for axis, voxel in (("z", [17, 31, z]), ("y", [99, y, 60]), ("x", [x, 71, 3])):
        expected = grey(voxels[voxel[2], voxel[1], voxel[0]], (-1000, 3000))
        assert np.abs(np.array(viewer.colour(axis, voxel)) - expected).max() <= 1, axis


def test_the_value_under_the_pointer_is_numpys_in_the_calibrations_unit(view, voxels):
    viewer = view()
    for axis, voxel in (("z", [17, 31, 35]), ("y", [99, 45, 60]), ("x", [60, 71, 3])):
        viewer.page.mouse.move(*viewer.at(axis, voxel))
        viewer.wait(f"values.at(-1).voxel.join() === '{','.join(map(str, voxel))}'")
        detail = viewer.get("values.at(-1)")
        raw = int(voxels[voxel[2], voxel[1], voxel[0]])
        assert detail["raw"] == raw
        assert detail["text"] == f"{raw * 0.25 - 200:.1f} mg HA/ccm"
        assert detail["mm"] == pytest.approx([10 + voxel[0] * 0.5, 20 + voxel[1] * 0.5, 30 + voxel[2]])


def test_values_without_a_calibration_are_named_native(view, voxels):
    viewer = view(src="/slices/userdata/f.omni")
    value = voxels[35, 45, 60].astype(np.float32) / 3
    text = viewer.get("valueText")
    assert text.endswith(" native")
    assert float(text.split()[0]) == pytest.approx(float(value), rel=1e-6)


def test_a_click_and_the_wheel_and_the_keyboard_move_the_crosshair_of_all_planes(view):
    viewer = view()
    viewer.page.mouse.click(*viewer.at("z", [20, 70, 35]))
    assert viewer.get("cross") == [20, 70, 35]
    viewer.page.mouse.wheel(0, 120)
    viewer.wait("cross[2] === 38")
    viewer.plane("y").focus()
    for key, cross in (
        ("ArrowRight", [21, 70, 38]),
        ("Shift+ArrowLeft", [11, 70, 38]),
        ("ArrowDown", [11, 70, 39]),
        ("PageUp", [11, 69, 39]),
        ("End", [11, 89, 39]),
        ("Home", [11, 0, 39]),
    ):
        viewer.page.keyboard.press(key)
        assert viewer.get("cross") == cross, key
    assert viewer.plane("y").get_attribute("aria-valuenow") is not None
    viewer.wait("planes.y.element.getAttribute('aria-valuetext').startsWith('y 0 of 0 to 89')")


def test_dragging_with_the_contrast_tool_changes_width_and_level(view):
    viewer = view()
    low, high = viewer.get("window")
    viewer.page.get_by_role("button", name="Contrast").click()
    viewer.drag("z", [60, 45, 35], [80, 45, 35])
    wider = viewer.get("window")
    assert wider[1] - wider[0] > high - low
    assert sum(wider) == pytest.approx(low + high, rel=0.02, abs=2)
    viewer.page.get_by_label("Black at").fill("0")
    viewer.page.get_by_label("Black at").press("Enter")
    assert viewer.get("window[0]") == pytest.approx(800)  # 0 mg HA/ccm


def test_zooming_keeps_the_voxel_under_the_pointer_and_fit_shows_all_again(view):
    viewer = view()
    fitted = viewer.get("scale")
    x, y = viewer.at("z", [20, 70, 35])
    viewer.page.mouse.move(x, y)
    viewer.page.keyboard.down("Control")
    viewer.page.mouse.wheel(0, -300)
    viewer.page.keyboard.up("Control")
    viewer.wait(f"scale > {fitted * 2}")
    assert viewer.at("z", [20, 70, 35]) == pytest.approx((x, y), abs=3)  # a pointer is at whole pixels
    viewer.page.get_by_role("button", name="Fit").click()
    assert viewer.get("scale") == pytest.approx(fitted)


def test_planes_that_get_their_size_late_show_all_of_the_image_then(view):
    viewer = view()
    fitted = viewer.get("scale")
    # As where the image is described before anything of the page has a size.
    viewer.page.evaluate(
        "() => { document.querySelector('main').style.display = 'none'; document.querySelector('xf-slices').fit() }"
    )
    assert viewer.get("scale") == 1
    # Sizes are compared frame by frame: one has to go by without a size.
    viewer.page.evaluate("() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => go())))")
    viewer.page.evaluate("() => { document.querySelector('main').style.display = '' }")
    viewer.wait(f"scale === {fitted}")


@pytest.mark.parametrize("renderer", ["", "canvas"])
def test_segments_lie_where_their_origin_says_and_are_named(view, renderer):
    viewer = view(segments="userdata/seg.omni", renderer=renderer)
    viewer.page.mouse.click(*viewer.at("z", [60, 45, 35]))
    viewer.wait("shadowRoot.querySelector('.label').textContent === 'label 2 (cortex)'")
    viewer.page.evaluate("document.querySelector('xf-slices').setWindow([9000, 9001])")
    viewer.settle()
    # Half of the second label's colour over black and then over white; nothing shines through from before.
    assert viewer.colour("z", [40, 42, 35]) == pytest.approx([30, 90, 37.5], abs=1)
    viewer.page.evaluate("document.querySelector('xf-slices').setWindow([-9001, -9000])")
    viewer.settle()
    assert viewer.colour("z", [40, 42, 35]) == pytest.approx([157.5, 217.5, 165], abs=1)
    viewer.page.evaluate("document.querySelector('xf-slices').setWindow([9000, 9001])")
    viewer.settle()
    assert viewer.colour("z", [40, 60, 35]) == [0, 0, 0]
    viewer.plane("z").focus()
    viewer.page.keyboard.press("o")
    viewer.settle()
    assert viewer.colour("z", [40, 42, 35]) == [0, 0, 0]


def test_a_drawn_box_has_exactly_the_voxels_from_corner_to_corner(view):
    viewer = view(mode="voi")
    viewer.drag("z", [20, 30, 35], [59, 49, 35])
    value = viewer.get("changes.at(-1)")
    assert (value["pos"][:2], value["size"][:2]) == ([20, 30], [40, 20])
    viewer.drag("y", [40, 45, value["pos"][2] - 0.5], [40, 45, 9.5])
    assert viewer.get("value.pos") == [20, 30, 10]
    viewer.page.get_by_label("Voxels z").fill("25")
    viewer.page.get_by_label("Voxels z").press("Enter")
    viewer.page.evaluate(f"document.querySelector('xf-slices').image = {json.dumps(PARAMETER)}")
    value = viewer.get("value")
    assert value == {"type": "ImageVOI", "pos": [20, 30, 10], "size": [40, 20, 25], "image": PARAMETER}
    assert not list(shape_violations(value, "voi"))


def test_a_box_is_made_moved_and_removed_by_keyboard_alone(view):
    viewer = view(mode="voi")
    viewer.plane("z").focus()
    viewer.page.keyboard.press("n")
    assert viewer.get("value") == {"type": "ImageVOI", "pos": [30, 22, 17], "size": [60, 46, 36]}
    viewer.page.keyboard.press("Alt+ArrowRight")
    viewer.page.keyboard.press("Alt+Shift+ArrowUp")
    assert viewer.get("value.pos") == [31, 12, 17]
    viewer.page.keyboard.press("Delete")
    assert viewer.get("value") is None


def test_a_rotated_box_is_turned_by_its_handle_and_keeps_its_middle(view):
    viewer = view(mode="rotated-voi")
    viewer.page.get_by_role("button", name="New at the crosshair").click()
    upright = viewer.get("value")
    assert upright["size"] == [60, 45, 35]
    assert upright["rotation"] == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    middle = [at + length / 2 for at, length in zip(upright["pos_mm"], upright["size_mm"], strict=True)]
    box = viewer.plane("z").bounding_box()
    turn = viewer.plane("z").locator(".turn")
    x, y = float(turn.get_attribute("cx")), float(turn.get_attribute("cy"))
    cx, cy = viewer.at("z", viewer.get("cross"))
    viewer.page.mouse.move(box["x"] + x, box["y"] + y)
    viewer.page.mouse.down()
    viewer.page.mouse.move(cx, cy + 80, steps=8)  # a quarter turn, from x to y
    viewer.page.mouse.up()
    value = viewer.get("changes.at(-1)") | {"image": PARAMETER}
    rotation = np.reshape(value["rotation"], (3, 3))
    np.testing.assert_allclose(rotation, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=0.02)
    np.testing.assert_allclose(value["pos_mm"] + rotation @ value["size_mm"] / 2, middle, atol=1e-6)
    assert not list(shape_violations(value, "voi"))


def test_contours_are_drawn_closed_and_changed(view):
    viewer = view(mode="contours")
    for corner in ([20, 20, 35], [80, 20, 35], [80, 60, 35]):
        viewer.page.mouse.click(*viewer.at("z", corner))
    viewer.page.keyboard.press("Enter")
    assert viewer.get("value") == {"contours": [{"z": 35, "points": [[20, 20], [80, 20], [80, 60]]}]}
    viewer.drag("z", [80, 60, 35], [40, 70, 35])
    assert viewer.get("changes.at(-1).contours[0].points[2]") == [40, 70]


def test_landmarks_have_names_voxels_and_places_in_mm(view):
    viewer = view(mode="landmarks")
    viewer.page.mouse.click(*viewer.at("z", [20, 30, 35]))
    viewer.page.mouse.click(*viewer.at("x", [60, 10, 5]))
    viewer.page.get_by_label("Name").fill("tip")
    viewer.page.get_by_label("Name").press("Enter")
    assert viewer.get("value.type") == "Landmarks"
    assert viewer.get("value.landmarks") == [
        {"name": "1", "voxel": [20, 30, 35], "mm": [20, 35, 65]},
        {"name": "tip", "voxel": [60, 10, 5], "mm": [40, 25, 35]},
    ]


def test_two_viewers_of_a_group_move_together(view):
    viewer = view(
        {"src": "/slices/userdata/a.omni", "group": "both"}, {"src": "/slices/userdata/plain.omni", "group": "both"}
    )
    viewer.page.mouse.click(*viewer.at("z", [20, 70, 35]))
    assert viewer.get("cross", 1) == [20, 70, 35]
    viewer.plane("z").focus()
    viewer.page.keyboard.press("+")
    assert viewer.get("scale", 1) == pytest.approx(viewer.get("scale", 0))
    assert viewer.get("centre", 1) == pytest.approx(viewer.get("centre", 0))


def test_segments_are_laid_over_another_image_of_the_page_and_taken_off_again(view):
    viewer = view({"src": "/slices/userdata/seg.omni"}, {"src": "/slices/userdata/a.omni"})
    choice = viewer.page.get_by_label("Over", exact=True).first
    choice.select_option("a.omni")
    viewer.wait("layers.length === 2")
    viewer.page.evaluate("document.querySelector('xf-slices').moveCross([60, 45, 35])")
    viewer.wait("shadowRoot.querySelector('.label').textContent === 'label 2 (cortex)'")
    assert viewer.get("source.description.name") == "a.omni"
    choice.select_option("nothing")
    viewer.wait("source?.description?.name === 'seg.omni'")
    assert viewer.get("layers.length") == 1


@pytest.mark.parametrize("renderer", ["", "canvas"])
def test_a_registered_image_lies_on_the_other_one(view, voxels, renderer):
    # plain.omni is a.omni mirrored along x, which this matrix takes back.
    mirror = [-1, 0, 0, 79.5, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    viewer = view(moving="userdata/plain.omni", transform=json.dumps(mirror), renderer=renderer)
    viewer.wait("moving.description?.pyramid.state === 'complete'")
    window = viewer.get("moving.description.window")
    viewer.page.evaluate("window => document.querySelector('xf-slices').setWindow(window)", window)
    viewer.page.get_by_label("Second image").locator("visible=true").get_by_role("combobox").first.select_option(
        "squares"
    )
    spots = [[x, 45, 35] for x in range(4, 118, 6)]

    def deviations():
        viewer.wait("moving.description?.pyramid.state === 'complete'")
        viewer.settle()
        shown = [viewer.colour("z", spot)[0] for spot in spots]
        return sum(abs(got - grey(voxels[z, y, x], window)) > 2 for got, (x, y, z) in zip(shown, spots, strict=True))

    assert deviations() == 0
    viewer.page.evaluate("document.querySelector('xf-slices').moveCross([17, 31, 35])")
    viewer.wait("values.at(-1).voxel.join() === '17,31,35'")
    assert viewer.get("values.at(-1).moved") == int(voxels[35, 31, 17])
    viewer.page.get_by_label("Transformation").select_option("untouched")
    assert 3 < deviations() < len(spots) - 3
    viewer.plane("z").focus()
    viewer.page.keyboard.press("o")
    assert deviations() == 0  # hidden


def test_viewers_are_linked_by_a_button(view):
    viewer = view({"src": "/slices/userdata/a.omni"}, {"src": "/slices/userdata/plain.omni"})
    for number in (0, 1):
        viewer.page.get_by_role("button", name="Linked").nth(number).click()
    viewer.page.evaluate("document.querySelector('xf-slices').moveCross([1, 2, 3])")
    assert viewer.get("cross", 1) == [1, 2, 3]


def test_fingers_point_pan_and_pinch(view):
    viewer = view()
    touch = viewer.page.context.new_cdp_session(viewer.page)

    def fingers(kind, *points):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    x, y = viewer.at("z", [20, 70, 35])
    fingers("touchStart", (x, y))
    fingers("touchEnd")
    viewer.wait("cross.join() === '20,70,35'")
    scale = viewer.get("scale")
    x, y = viewer.at("z", [60, 45, 35])
    fingers("touchStart", (x - 20, y), (x + 20, y))
    fingers("touchMove", (x - 40, y), (x + 40, y))
    fingers("touchMove", (x - 60, y + 10), (x + 60, y + 10))
    fingers("touchEnd")
    viewer.wait(f"scale > {scale * 2.5}")
    assert viewer.at("z", [60, 45, 35]) == pytest.approx((x, y + 10), abs=3)


def test_on_a_phone_in_the_dark_nothing_sticks_out(view, tmp_path):
    viewer = view(mode="voi", segments="userdata/seg.omni")
    viewer.page.emulate_media(color_scheme="dark")
    viewer.page.set_viewport_size({"width": 390, "height": 844})
    viewer.settle()
    assert viewer.page.evaluate("document.documentElement.scrollWidth") <= 390
    inside = viewer.page.evaluate(
        """() => [...document.querySelector('xf-slices').shadowRoot.querySelectorAll('button, select, input, .plane')]
            .filter((one) => one.offsetWidth).every((one) => one.getBoundingClientRect().right <= 390)"""
    )
    assert inside


def test_a_volume_of_60_gib_is_shown_at_once_in_flat_memory(view, server):
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    viewer = view(src="/slices/userdata/large.omni")
    assert viewer.get("source.description.size") == [3200, 3200, 3146]
    assert viewer.get("source.description.pyramid.state") != "complete"
    viewer.wait("source.description.levels.at(-1).sources.x === 'sampled'")
    viewer.settle()
    viewer.page.evaluate("document.querySelector('xf-slices').moveCross([1600, 1600, 1600])")
    viewer.wait("values.at(-1).raw === 1000")
    viewer.page.evaluate("document.querySelector('xf-slices').setWindow([0, 1000])")
    viewer.settle()
    assert viewer.colour("x", [1600, 1600, 1600]) == [255, 255, 255]
    state = viewer.page.locator("xf-slices .state:not(.link)")
    assert "planes across x are coarse" in state.inner_text()
    assert process.memory_info().rss - before < 300e6


def test_a_link_for_other_viewers_opens_without_a_session(view, server):
    viewer = view()
    viewer.page.get_by_role("button", name="Link for other viewers").click()
    field = viewer.page.get_by_role("textbox", name="Link for other viewers")
    link = field.input_value()
    assert link.startswith(f"{server.url}/images/v1/link/")
    with urllib.request.urlopen(f"{link}/zarr.json", timeout=30) as answer:
        assert json.load(answer)["node_type"] == "group"


def test_a_lost_connection_is_said_and_then_forgotten(view, voxels):
    viewer = view()
    viewer.page.context.set_offline(True)
    viewer.page.evaluate("document.querySelector('xf-slices').moveCross([3, 4, 5])")
    trouble = viewer.page.locator("xf-slices .trouble")
    playwright.expect(trouble).to_contain_text("Connection lost")
    viewer.page.context.set_offline(False)
    playwright.expect(trouble).to_be_hidden(timeout=20000)
    viewer.wait("values.at(-1).voxel.join() === '3,4,5'")
    assert viewer.get("values.at(-1).raw") == int(voxels[5, 4, 3])


def test_an_image_is_shown_in_3d_in_a_frame_of_its_own(view):
    viewer = view()
    viewer.page.get_by_role("button", name="3-D").click()
    frame = viewer.page.frame_locator("xf-slices iframe.solid")
    playwright.expect(frame.locator("body[data-shown=true]")).to_be_visible(timeout=30000)
    picture = Image.open(io.BytesIO(viewer.page.locator("xf-slices iframe.solid").screenshot())).convert("L")
    assert np.count_nonzero(np.asarray(picture) > 40) > 1000
    viewer.page.get_by_role("button", name="3-D").click()
    playwright.expect(viewer.page.locator("xf-slices iframe.solid")).to_have_count(0)


def test_a_mesh_is_shown_in_3d(view, server):
    corners = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]], "<f4")
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    triangles = np.zeros(4, record)
    triangles["corners"] = corners[[[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]]
    (server.data / "files" / "userdata" / "mesh.stl").write_bytes(
        bytes(80) + np.uint32(4).tobytes() + triangles.tobytes()
    )
    viewer = view()
    viewer.page.goto(f"{server.url}/volumes/userdata/mesh.stl")
    playwright.expect(viewer.page.locator("body[data-shown=true]")).to_be_visible(timeout=30000)
    picture = Image.open(io.BytesIO(viewer.page.screenshot())).convert("L")
    assert np.count_nonzero(np.asarray(picture) > 40) > 1000
    viewer.page.evaluate("window.violations = []")


def test_what_the_server_refuses_is_said_and_asked_for_ever_less_often(view):
    viewer = view()
    refused = []

    def refuse(route):
        refused.append(route.request.url)
        route.fulfill(status=400, content_type="application/problem+json", body='{"detail": "no such tile today"}')

    viewer.page.route("**/slices/**tile=*.z.0.5.*", refuse)
    viewer.page.evaluate("document.querySelector('xf-slices').moveCross([1, 2, 5])")
    playwright.expect(viewer.page.locator("xf-slices .trouble")).to_contain_text("no such tile today")
    viewer.page.wait_for_timeout(1500)
    assert 1 <= len(refused) <= 8
    viewer.page.unroute("**/slices/**tile=*.z.0.5.*")
    playwright.expect(viewer.page.locator("xf-slices .trouble")).to_be_hidden(timeout=20000)


def test_nobody_sees_an_image_without_signing_in(browser, server):
    context = browser.new_context()
    answer = context.request.get(f"{server.url}/slices/userdata/a.omni", max_redirects=0)
    assert answer.status == 401
    context.close()
