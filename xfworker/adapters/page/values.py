"""A job's inputs and outputs as what they are: what each is called, and how the page shows it."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from attrs import define, field

from xfworker.domain.errors import XFWorkerError
from xfworker.domain.files import Resource, reference_resource
from xfworker.domain.image.series import SERIES, may_be_of_series
from xfworker.domain.interface import declared_fields
from xfworker.domain.parameter_shapes import shape_violations
from xfworker.domain.parameters import file_references

_DEEPEST = 4
_PARTS = {
    "Snapshot": ("bitmap", "video", "image", "image2", "mesh", "metadata"),
    "GIResult": ("snapshot", "gi_image"),
    "RegistrationResult": ("image1", "image2", "mesh1", "mesh2"),
    "Spectra": ("amplitudes_image", "wavelength_image"),
    "Contours": ("image",),
    "ImageVOI": ("image",),
    "RotatedImageVOI": ("image",),
    "Landmarks": ("image",),
    "Video": ("bitmap",),
}
_KINDS = {
    "Image": "image",
    "CSV": "table",
    "Bitmap": "picture",
    "Video": "video",
    "HTMLDocument": "report",
    "Entity": "entity",
    "Sequence": "sequence",
    "RegistrationResult": "registration",
    "ImageVOI": "drawn",
    "RotatedImageVOI": "drawn",
    "Landmarks": "drawn",
    "Contours": "drawn",
    "Mesh": "mesh",
}
DRAWN = {"ImageVOI": "voi", "RotatedImageVOI": "rotated-voi", "Landmarks": "landmarks", "Contours": "contours"}
"""The viewer's mode for what is drawn on an image, by parameter type."""

_ONE_LINE = frozenset({"none", "number", "text", "bool", "entity"})
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".svg")


@define(frozen=True)
class FileLink:
    """
    A file of the store as the page links to it.

    Attributes:
        resource: The file.
        is_series: Whether it is the first of an image's slices, each of which is a file.
    """

    resource: Resource
    is_series: bool = False

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.resource.filename

    @property
    def path(self) -> str:
        """The resource as a part of an address: below ``/files/``, ``/reports/``, ``/tables/`` and ``/slices/``."""
        return "/".join(quote(segment, safe="") for segment in self.resource.segments)

    @property
    def image(self) -> str:
        """The image that it is, or is a slice of, as a part of an address below ``/slices/``."""
        return f"{self.path}{SERIES}" if self.is_series else self.path


@define(frozen=True, kw_only=True)
class ShownValue:
    """
    One value as the page shows it.

    Attributes:
        label: What it is called: its key, or the name of a part of it.
        type_name: Its parameter type, ``Float`` or ``Image``.
        kind: How it is shown: ``none``, ``number``, ``text``, ``bool``, ``image``, ``table``, ``picture``, ``video``,
            ``report``, ``entity``, ``sequence``, ``registration``, ``drawn``, ``mesh``, ``group`` or ``json``.
        value: The JSON value.
        unit: The unit of a number, or an empty string.
        file: Its main file.
        others: Files beside that one.
        parts: What it consists of.
    """

    label: str
    type_name: str
    kind: str
    value: Any = None
    unit: str = ""
    file: FileLink | None = None
    others: tuple[FileLink, ...] = ()
    parts: "tuple[ShownValue, ...]" = field(default=())

    @property
    def mode(self) -> str:
        """How the viewer draws what was drawn on an image."""
        return DRAWN.get(self.type_name, "")

    @property
    def on(self) -> FileLink | None:
        """The image that something was drawn on, if it can be shown there."""
        drawn = self.kind == "drawn" and bool(self.parts) and (self.file is not None or self.type_name != "Contours")
        return self.parts[0].file if drawn else None

    @property
    def registered(self) -> "tuple[ShownValue, ShownValue] | None":
        """The fixed and the moving image of a registration, where there are both."""
        if self.kind != "registration" or any(shape_violations(self.value, "")):
            return None
        images = [part for name in ("image1", "image2") for part in self.parts if part.label == name and part.file]
        return (images[0], images[1]) if len(images) == 2 else None  # noqa: PLR2004  both

    def has(self, kind: str) -> bool:
        """Return whether this value, or a part of it, is shown in a way, so that the page loads what that needs."""
        return self.kind == kind or any(part.has(kind) for part in self.parts)


def shown_values(
    interface: Mapping[str, Any], part: str, values: Mapping[str, Any], units: Any = None
) -> list[ShownValue]:
    """
    Give a job's inputs or outputs as the page shows them: first those of one line, each in the order of declaration.

    Args:
        interface: What the task type declares.
        part: ``inputs`` or ``outputs``.
        values: The values by key.
        units: What the job's metadata says of the units of its outputs.
    """
    declared = declared_fields(interface, part)
    given = units if isinstance(units, Mapping) else {}
    shown = []
    for key in dict.fromkeys((*declared, *values)):
        about = declared.get(key, {})
        unit = given.get(key) or about.get("unit")
        shown.append(_shown(key, values.get(key), str(about.get("type", "")), unit if isinstance(unit, str) else ""))
    # What takes one line is read before what takes a screen.
    return sorted(shown, key=lambda item: item.kind not in _ONE_LINE)


def formatted_number(value: float) -> str:
    """Give a number as people read it: nine digits at most."""
    return str(value) if isinstance(value, int) else f"{value:.9g}"


def _shown(label: str, value: Any, declared: str, unit: str = "", depth: int = 0) -> ShownValue:
    if value is None:
        return ShownValue(label=label, type_name=declared, kind="none")
    if isinstance(value, bool):
        return ShownValue(label=label, type_name="Bool", kind="bool", value=value)
    if isinstance(value, int | float):
        kind = declared or ("Int" if isinstance(value, int) else "Float")
        return ShownValue(label=label, type_name=kind, kind="number", value=formatted_number(value), unit=unit)
    if isinstance(value, str):
        return ShownValue(label=label, type_name="String", kind="text", value=value)
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str) or depth > _DEEPEST:
        return ShownValue(label=label, type_name=declared, kind="json", value=value)
    return _composite(label, value, depth)


def _composite(label: str, value: Mapping[str, Any], depth: int) -> ShownValue:
    type_name = value["type"]
    files = list(_links(value))
    main = image_link(value)
    parts = tuple(
        _shown(name, value[name], "", depth=depth + 1) for name in _PARTS.get(type_name, ()) if value.get(name)
    )
    kind = _KINDS.get(type_name, "group" if parts or main else "json")
    if type_name == "Bitmap" and main is not None and not main.name.lower().endswith(_PICTURES):
        kind = "group"
    inside = {link.resource for part in parts for link in (part.file, *part.others) if link is not None}
    if main is not None:
        inside.add(main.resource)
    others = tuple(link for link in files if link.resource not in inside)
    return ShownValue(
        label=label, type_name=type_name, kind=kind, value=dict(value), file=main, others=others, parts=parts
    )


def _main(value: Mapping[str, Any]) -> FileLink | None:
    try:
        return FileLink(reference_resource(value)) if "source" in value else None
    except XFWorkerError:
        return None  # a script may have written anything; it is shown as JSON


def image_link(value: Mapping[str, Any]) -> FileLink | None:
    """Give the main file of a value, and whether an image goes on in the files beside it: they have its suffix."""
    main, beside = _main(value), value.get("filenames")
    if main is None or value.get("type") != "Image" or not isinstance(beside, list) or not beside:
        return main
    is_series = all(isinstance(name, str) and name and may_be_of_series(name, main.name) for name in beside)
    return FileLink(main.resource, is_series=is_series)


def _links(value: Mapping[str, Any]) -> Iterator[FileLink]:
    try:
        references = file_references(value)
    except XFWorkerError:
        return
    for reference in references:
        link = _main(reference)
        if link is not None:
            yield link
