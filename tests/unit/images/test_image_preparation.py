"""In what order images are prepared, what becomes of one that fails, and how it is ended: one thread, any images."""

import threading
import time
from pathlib import Path

import attrs
import pytest
from structlog.testing import capture_logs

from xfworker.domain.errors import NotEnoughSpace
from xfworker.services.images.preparation import ImagePreparation

_Info = attrs.make_class("Info", ["path"])


class Image:
    """An image that says what is done with it; in the middle of each piece of work it does what the test wants."""

    def __init__(self, name, done, *, while_sampled=lambda: None, while_built=lambda: None):
        self.info, self.done, self.state, self.reason = _Info(Path(name)), done, "waiting", None
        self.while_sampled, self.while_built = while_sampled, while_built

    @property
    def is_prepared(self):
        return self.state in ("complete", "failed")

    def sample(self, pause):
        self.done.append(f"sample {self.info.path}")
        self.while_sampled()
        pause()

    def build(self, pause):
        self.state = "building"
        self.done.append(f"build {self.info.path}")
        self.while_built()
        pause(0.5)
        self.done.append(f"built {self.info.path}")
        self.state = "complete"

    def begin_anew(self):
        self.state, self.reason = "waiting", None

    def fail(self, reason):
        self.state, self.reason = "failed", reason


@pytest.fixture
def preparation():
    preparation = ImagePreparation()
    yield preparation
    preparation.close()


def wait_for(preparation, *images):
    while any(preparation.uses(image) for image in images):
        assert "xfworker-images" in {one.name for one in threading.enumerate()}, "nothing prepares them any more"
        time.sleep(0.001)  # a thread of its own prepares


def test_an_image_is_sampled_before_another_one_is_built_on(preparation):
    done = []
    late = [Image("b", done), Image("c", done)]
    first = Image("a", done, while_built=lambda: [preparation.prepare(image) for image in (*late, *late)])
    preparation.prepare(first)
    wait_for(preparation, first, *late)
    assert done == [
        "sample a", "build a", "sample b", "sample c", "built a", "build b", "built b", "build c", "built c",
    ]  # fmt: skip
    assert [image.state for image in (first, *late)] == ["complete"] * 3


def test_an_image_that_cannot_be_read_keeps_no_other_from_being_prepared(preparation):
    def fail(error):
        raise error

    done = []
    images = [
        Image("a", done, while_sampled=lambda: fail(NotEnoughSpace("the disk is full"))),
        Image("b", done, while_built=lambda: fail(ZeroDivisionError("of the program"))),
        Image("c", done),
    ]
    with capture_logs() as logs:
        for image in images:
            preparation.prepare(image)
        wait_for(preparation, *images)
    reasons = ["the disk is full", "the server failed at it; its log says why", None]
    assert [(image.state, image.reason) for image in images] == list(
        zip(["failed", "failed", "complete"], reasons, strict=True)
    )
    assert [(log["event"], log["image"], log["reason"]) for log in logs] == [
        ("xfworker.image_not_prepared", name, reason) for name, reason in zip("ab", reasons[:2], strict=True)
    ]
    assert [type(log["exc_info"]) for log in logs] == [type(None), ZeroDivisionError]
    assert "build a" not in done
    images[0].while_sampled = lambda: None
    for image in images:
        preparation.try_again(image)
    wait_for(preparation, *images)
    assert [image.state for image in images] == ["complete", "failed", "complete"]
    assert (done.count("build a"), done.count("build b"), done.count("build c")) == (1, 2, 1)


def test_after_its_end_nothing_is_prepared_and_what_was_under_way_is_not_failed():
    done, preparation = [], ImagePreparation()
    preparation.close()
    unseen = Image("a", done)
    preparation.prepare(unseen)
    assert (done, preparation.uses(unseen)) == ([], False)
    preparation = ImagePreparation()
    began, go_on = threading.Event(), threading.Event()
    image, following = Image("b", done, while_built=lambda: (began.set(), go_on.wait(60))), Image("c", done)
    preparation.prepare(image)
    assert began.wait(60)
    preparation.prepare(following)
    closing = threading.Thread(target=preparation.close)
    closing.start()
    while True:
        preparation.prepare(probe := Image("d", done))
        if not preparation.uses(probe):
            break  # what is asked for from now on is not prepared any more
        time.sleep(0.001)
    go_on.set()
    closing.join()
    assert (done, image.state, following.state) == (["sample b", "build b"], "building", "waiting")


def test_the_thread_has_its_name_and_lowers_its_priority_once():
    seen = []
    preparation = ImagePreparation(lambda: seen.append(threading.current_thread().name))
    images = [Image(name, []) for name in "ab"]
    for image in images:
        preparation.prepare(image)
        wait_for(preparation, image)
    assert (seen, threading.current_thread().name in seen) == (["xfworker-images"], False)
    thread = next(one for one in threading.enumerate() if one.name == "xfworker-images")
    assert thread.daemon
    preparation.close()
    assert not thread.is_alive()


def test_building_waits_for_who_looks_at_images_but_not_for_ever(preparation):
    done, looking = [], preparation.viewing()
    image = Image("a", done, while_built=looking.__enter__)
    preparation.prepare(image)
    wait_for(preparation, image)
    assert done[-1] == "built a"
    with pytest.raises(KeyError), preparation.viewing():
        raise KeyError
    looking.__exit__(None, None, None)


def test_building_goes_on_when_the_last_one_who_looks_has_seen_it_and_then_waits_for_nobody(preparation, monkeypatch):
    monkeypatch.setattr("xfworker.services.images.preparation._LONGEST_PAUSE_SECONDS", None)
    done, lookers = [], [preparation.viewing() for _ in range(2)]

    def leave():
        for looker in lookers:
            time.sleep(0.02)  # time enough for building that does not wait
            done.append("seen")
            looker.__exit__(None, None, None)

    def look():
        for looker in lookers:
            looker.__enter__()
        threading.Thread(target=leave).start()

    built = threading.Event()
    preparation.prepare(Image("a", done, while_built=look))
    preparation.prepare(Image("b", done))
    preparation.prepare(Image("c", done, while_built=built.set))
    assert built.wait(20)
    assert [what for what in done if what in ("seen", "built a", "built b")] == ["seen", "seen", "built a", "built b"]
