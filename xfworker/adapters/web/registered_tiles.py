"""
Tiles of an image that a transformation moves onto another one.

``<moving>?onto=<fixed>&transform=<16 numbers with commas>`` describes it with the fixed image's grid; with ``tile=...``
it gives a tile of float32, NaN where the moving image has nothing.
"""

from collections.abc import Mapping
from typing import Any

from attrs import define
from litestar import Response

from xfworker.adapters.web.image_answers import answer_description, answer_tile, describe, levels_of
from xfworker.domain.errors import UsageError
from xfworker.domain.files import Resource
from xfworker.services.images.registered_image import RegisteredImage
from xfworker.services.images.viewing import Authorize, ViewedImages

_GRID = ("axes", "size", "spacing_mm", "origin_mm", "direction")


@define(frozen=True)
class RegisteredRequest:
    """
    What is asked about a moved image.

    Attributes:
        onto: The fixed image.
        transform: The transformation as it was written.
        tile: The name of a tile, or ``None`` for a description.
    """

    onto: Resource
    transform: str
    tile: str | None

    def answer(
        self,
        images: ViewedImages,
        moving: Resource,
        authorize: Authorize,
        unless: str | None,
        headers: Mapping[str, str],
    ) -> Response[bytes]:
        """Answer; for a thread."""
        numbers = self._numbers()
        with (
            images.preparation.viewing(),
            images.open(moving, authorize) as moved,
            images.open(self.onto, authorize) as fixed,
        ):
            image = RegisteredImage(fixed, moved, numbers)
            if self.tile is None:
                return answer_description(_described(image), headers)
            return answer_tile(image, self.tile, moving, unless, headers)

    def _numbers(self) -> list[float]:
        try:
            return [float(number) for number in self.transform.split(",", 16)]
        except ValueError:
            raise UsageError("transform: expected 16 numbers with commas between them") from None


def _described(image: RegisteredImage) -> dict[str, Any]:
    moving, fixed = describe(image.moving), describe(image.fixed)
    return {
        **moving,
        **{name: fixed[name] for name in _GRID},
        "key": image.key,
        "pixel_type": "float32",
        "levels": levels_of(image, image.fixed, fixed),
    }
