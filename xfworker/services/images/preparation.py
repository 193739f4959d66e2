"""Prepares images for viewing in one background thread: of all first a sample, then their pyramids one by one."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Thread
from typing import Final

import structlog

from xfworker.domain.errors import XFWorkerError
from xfworker.services.images.viewed_image import ViewedImage

_log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.images")

_LONGEST_PAUSE_SECONDS: Final = 0.1
"""How long a piece of work waits for those who look at images; they never keep it from going on."""


class _Closed(Exception):
    """The preparation was closed."""


class ImagePreparation:
    """Prepares the images that were asked for, those whose sample is missing before all others."""

    def __init__(self, lower_priority: Callable[[], None] = lambda: None) -> None:
        """
        Take the parts; the thread begins with the first image.

        Args:
            lower_priority: Called in the thread as it begins.
        """
        self._lower_priority = lower_priority
        self._changed = Condition()
        self._to_sample: deque[ViewedImage] = deque()
        self._to_build: deque[ViewedImage] = deque()
        self._viewers = 0
        self._is_closed = False
        self._thread: Thread | None = None

    def prepare(self, image: ViewedImage) -> None:
        """Prepare an image unless that was done or is under way."""
        with self._changed:
            if self._is_closed or image.is_prepared or image in self._to_sample or image in self._to_build:
                return
            if image.state == "building":
                return
            self._to_sample.append(image)
            self._to_build.append(image)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="xfworker-images", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def try_again(self, image: ViewedImage) -> None:
        """Prepare an image once more where that failed."""
        if image.state == "failed":
            image.begin_anew()
            self.prepare(image)

    @contextmanager
    def viewing(self) -> Iterator[None]:
        """Let the thread wait a little while somebody waits for a tile."""
        with self._changed:
            self._viewers += 1
        try:
            yield
        finally:
            with self._changed:
                self._viewers -= 1
                self._changed.notify_all()

    def uses(self, image: ViewedImage) -> bool:
        """Return whether an image is being prepared, or is to be."""
        with self._changed:
            return image in self._to_build or image in self._to_sample  # it is taken out once it is built

    def close(self) -> None:
        """End after the piece of work that is under way; what is complete stays for the next server."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        self._lower_priority()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._to_sample or self._to_build)
            try:
                self._sample_all()
                if self._to_build:
                    image = self._to_build[0]
                    self._attempt(image, lambda image: image.build(self._pause))
                    with self._changed:
                        self._to_build.popleft()
                        if image.state == "waiting":  # begun anew in the meantime
                            self._to_build.append(image)
                self._require_open()
            except _Closed:
                return

    def _sample_all(self) -> None:
        while self._to_sample:
            self._attempt(self._to_sample[0], lambda image: image.sample(self._require_open))
            with self._changed:
                self._to_sample.popleft()

    def _attempt(self, image: ViewedImage, step: Callable[[ViewedImage], None]) -> None:
        if image.is_prepared:
            return
        try:
            step(image)
        except _Closed:
            raise
        except Exception as error:  # noqa: BLE001 - one image that cannot be read must not keep others from being seen
            known = isinstance(error, XFWorkerError)
            reason = str(error) if known else "the server failed at it; its log says why"
            image.fail(reason)
            _log.warning(
                "xfworker.image_not_prepared",
                image=image.info.path.name,
                reason=reason,
                exc_info=None if known else error,
            )

    def _pause(self, _part: float) -> None:
        self._require_open()
        with self._changed:
            if self._viewers:
                self._changed.wait_for(lambda: self._is_closed or not self._viewers, _LONGEST_PAUSE_SECONDS)
        # An image that was opened meanwhile shows its planes along x before this one is complete.
        self._sample_all()

    def _require_open(self) -> None:
        if self._is_closed:
            raise _Closed
