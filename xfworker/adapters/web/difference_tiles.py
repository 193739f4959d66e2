"""
Tiles of the difference of two images of one grid.

``<image>?minus=<other>`` describes it; with ``tile=...`` it gives a tile of float32, in the unit that both have.
"""

from collections.abc import Mapping
from typing import Any

from attrs import define
from litestar import Response

from xfworker.adapters.web.image_answers import answer_description, answer_tile, describe, levels_of
from xfworker.domain.files import Resource
from xfworker.services.images.image_difference import ImageDifference
from xfworker.services.images.viewing import Authorize, ViewedImages


@define(frozen=True)
class DifferenceRequest:
    """
    What is asked about a difference.

    Attributes:
        minus: The image that is subtracted.
        tile: The name of a tile, or ``None`` for a description.
    """

    minus: Resource
    tile: str | None

    def answer(
        self,
        images: ViewedImages,
        resource: Resource,
        authorize: Authorize,
        unless: str | None,
        headers: Mapping[str, str],
    ) -> Response[bytes]:
        """Answer; for a thread."""
        with (
            images.preparation.viewing(),
            images.open(resource, authorize) as image,
            images.open(self.minus, authorize) as other,
        ):
            difference = ImageDifference(image, other)
            if self.tile is None:
                return answer_description(_described(difference), headers)
            return answer_tile(difference, self.tile, resource, unless, headers)


def _described(difference: ImageDifference) -> dict[str, Any]:
    one, other = describe(difference.image), describe(difference.other)
    window, unit = difference.window(), difference.unit
    calibrations = [{"unit_type": unit.unit_type, "unit_name": unit.unit_name, "slope": 1.0, "intercept": 0.0}]
    # As long as one of the two is being prepared, whoever looks asks again.
    unfinished = next((image["pyramid"] for image in (one, other) if image["pyramid"]["state"] != "complete"), None)
    return {
        **one,
        "key": difference.key,
        "name": f"{one['name']} - {other['name']}",
        "pixel_type": "float32",
        "calibrations": [] if unit.unit_type is None else calibrations,
        "default_unit_type": unit.unit_type,
        "assumptions": list(dict.fromkeys((*one["assumptions"], *other["assumptions"]))),
        "window": [window.low, window.high],
        "levels": levels_of(difference, difference.image, one),
        "pyramid": unfinished or one["pyramid"],
    }
