"""Images when a capture is played back: their files and pixels, and what was never asked of them just so."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define

from xfworker.api.capture import documented
from xfworker.api.capture.coding import Coder
from xfworker.api.capture.errors import NotRecorded
from xfworker.api.capture.objects import RecordedObject
from xfworker.api.capture.values import is_path
from xfworker.services.capture.matching import Matcher

NOTHING = object()
"""Stands for no answer."""


@define(frozen=True)
class ImageWork:
    """
    Does what images do by themselves.

    Attributes:
        coder: Makes objects.
        matcher: Knows what was asked of images.
    """

    coder: Coder
    matcher: Matcher

    def call(self, owner: RecordedObject, function: str, arguments: Mapping[str, Any]) -> Any:
        """Answer a call of an image that was never asked just so: from its facts, or by what such a call does."""
        facts = vars(owner).get("_xf_facts", {})
        if function == "pixel_calibrations_of_unit_type":
            asked = next(iter(arguments.values()), None)
            known = facts.get("calibrations")
            if isinstance(known, list) and asked == facts.get("default_pixel_calibration_unit_type"):
                return [self.coder.calibration(line) for line in known]
            return NOTHING
        if function in ("derive_image", "derive_segments"):
            return self._derive(owner, function, arguments)
        similar = [call for call in self.matcher.named(f"{documented.IMAGE}.{function}") if call.result is None]
        if not similar:
            return NOTHING
        model = similar[-1]
        for encoded in model.wrote:
            target = beside(owner, encoded)
            if target is None or (target.exists() and target.suffix != ".omni"):
                continue
            values = [value for value in arguments.values() if hasattr(value, "tobytes") and hasattr(value, "dtype")]
            if values and target.suffix != ".omni":
                values[0].tofile(target)
            else:
                self.coder.places.materialised(encoded, target, is_written=True)
        return None

    def _derive(self, owner: RecordedObject, function: str, arguments: Mapping[str, Any]) -> RecordedObject:
        self.coder.note(f"{function} was not asked like this when captured; the image has the facts of its source")
        derived = self.coder.new_object(documented.IMAGE, self.coder.next_number())
        own = {key: value for key, value in vars(owner).items() if not key.startswith("_xf")}
        facts = dict(vars(owner).get("_xf_facts", {}))
        if function == "derive_segments":
            for name in ("calibrations", "default_pixel_calibration_unit_type"):
                facts.pop(name, None)
                own.pop(name, None)
            facts["default_pixel_calibration_unit_type"] = None
        vars(derived).update({**own, "_xf_facts": facts})
        self.derived(derived, arguments, {})
        return derived

    def derived(self, image: RecordedObject, arguments: Mapping[str, Any], recorded: Mapping[str, Any]) -> None:
        """Let a derived image have the paths that the script gave it."""
        given = [Path(value) for value in arguments.values() if is_path(value) or isinstance(value, str)]
        vars(image)["_xf_derived"] = True
        if not given:
            return
        before = [item.get("name") for item in recorded.values() if isinstance(item, dict) and item.get("$") == "path"]
        for name, value in list(vars(image).items()):
            if is_path(value) and value.name in before:
                vars(image)[name] = given[min(before.index(value.name), len(given) - 1)]
        vars(image)["metadata_path"] = given[0]
        vars(image).setdefault("_xf_facts", {})["metadata_path"] = given[0]

    def pixels(self, image: RecordedObject) -> Any:
        """Give an image's pixels where it was never asked for them: from its files, if its facts state their layout."""
        layout = pixel_layout(vars(image).get("_xf_facts", {}), vars(image))
        path = None if layout is None else raw_path(image)
        if layout is None or path is None:
            raise NotRecorded(
                f"nothing in the capture tells the layout of the pixels of {vars(image).get('metadata_path')}: it "
                "was never asked for them, and states no pixel type that goes with the size of its file"
            )
        import numpy as np

        return np.memmap(path, np.dtype(layout[0]), "r+", 0, layout[1])


def image_files(image: Any) -> list[Path]:
    """List the files of an image: its metadata file, and those that go by its name."""
    path = Path(image.metadata_path)
    found = [path] if path.is_file() else []
    if path.parent.is_dir():
        found += sorted(item for item in path.parent.iterdir() if item.stem == path.stem and item != path)
    named = vars(image).get("additional_pixels_filenames") or ()
    found += [path.parent / name for name in named if os.path.basename(name) == name and (path.parent / name).is_file()]  # noqa: PTH119  a bare name
    return list(dict.fromkeys(found))


def pixel_layout(facts: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[str, tuple[int, ...]] | None:
    """Give pixel type and shape ``(z, y, x)`` of an image's raw file, or ``None`` where its facts do not state them."""
    import numpy as np

    stated = {**facts, **{key: value for key, value in data.items() if not key.startswith("_")}}
    size = stated.get("size_3d_tuple")
    if not isinstance(size, tuple | list) or not all(isinstance(n, int) and n > 0 for n in size):
        return None
    shape = tuple(reversed([int(n) for n in size]))
    for name in ("pixel_type", "dtype", "data_type", "pixels_dtype"):
        try:
            return str(np.dtype(stated[name]).str), shape
        except (KeyError, TypeError, ValueError):
            continue
    return None


def raw_path(image: RecordedObject) -> Path | None:
    """Give the raw file of an image, where there is just one."""
    files = [path for path in image_files(image) if path.suffix == ".raw"]
    return files[0] if len(files) == 1 else None


def beside(image: RecordedObject, encoded: Mapping[str, Any]) -> Path | None:
    """Give the file of an image that is what a recorded file was to its image."""
    main = vars(image).get("metadata_path")
    if main is None:
        return None
    path, name = Path(main), Path(str(encoded.get("name")))
    return path if name.suffix == path.suffix else path.with_suffix(name.suffix)


def save_pixels(image: RecordedObject, target: Path) -> bool:
    """Save the pixels that a script assigned to an image or wrote into its array; return whether there are any."""
    data = vars(image)
    assigned = [value for name, value in data.items() if hasattr(value, "tofile") and not name.startswith("_")]
    pixels = assigned[0] if assigned else data.get("_xf_pixels")
    if pixels is None:
        return target.exists()
    if str(getattr(pixels, "filename", "")) == str(target):
        pixels.flush()
    else:
        pixels.tofile(target)
    return True


def remember_pixels(owner: RecordedObject, value: Any) -> None:
    """Remember an array that an image gave: a script may write into it what the image is to save."""
    if owner._xf_class == documented.IMAGE and hasattr(value, "tofile") and value.flags.writeable:  # noqa: SLF001  the player's
        vars(owner)["_xf_pixels"] = value
