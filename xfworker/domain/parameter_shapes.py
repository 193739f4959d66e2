"""
What the composite parameters are made of.

The names of the types are attested, and what the documented ``create_output_*`` methods put into them; how many numbers
a rotation has and which names the file keys carry is this project's. A type that is not in the table passes unharmed.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from attrs import define

from xfworker.domain.errors import FileError, InvalidFilename, InvalidParameter
from xfworker.domain.filenames import check_filename
from xfworker.domain.files import reference_resource
from xfworker.domain.json_value import is_finite

Check = Callable[[Any, str], Iterator[str]]
"""Gives the violations of a value, each starting with its path."""

_AXES = range(2, 8)
_SPACE = (3,)
_MATRIX = (16,)
_ROTATION = (3, 4, 9)
_PAIR = 2


@define(frozen=True)
class Field:
    """
    One key of a composite parameter.

    Attributes:
        name: The key.
        check: Gives the violations of its value.
        required: Whether it must be there.
    """

    name: str
    check: Check
    required: bool = True


def shape_violations(value: Any, path: str, *, type_name: str | None = None) -> Iterator[str]:
    """
    Give the violations of a composite parameter, deep ones included, each starting with the path to the wrong value.

    Args:
        value: The parameter.
        path: What it is called.
        type_name: The type that it must have; by default it may have any.
    """
    if not isinstance(value, Mapping):
        what = _a(type_name or "composite parameter")
        yield f"{path}: expected {what} (an object with 'type'), got {formatted(value)}"
        return
    own = value.get("type")
    if not isinstance(own, str) or not own:
        yield f"{path}: expected {_a(type_name or 'composite parameter')}, got an object without a 'type'"
        return
    if type_name is not None and own != type_name:
        yield f"{path}: expected {_a(type_name)}, got {_a(own)}"
        return
    if own in FILE_TYPES:
        yield from _file_violations(value, path)
    for field in FIELDS.get(own, ()):
        if value.get(field.name) is not None:
            yield from field.check(value[field.name], f"{path}.{field.name}")
        elif field.required:
            yield f"{path}.{field.name}: is missing"


def check_shape(parameter: dict[str, Any], what: str) -> dict[str, Any]:
    """
    Give the parameter back if it has the shape of its type.

    Raises:
        InvalidParameter: With every violation and the path to it.
    """
    violations = [violation.removeprefix(f"{what}.") for violation in shape_violations(parameter, what)]
    if violations:
        raise InvalidParameter(f"{what}: {'; '.join(violations)}", violations)
    return parameter


def formatted(value: Any, limit: int = 60) -> str:
    """Give a value as messages show it: short."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def is_int(value: Any) -> bool:
    """Return whether a JSON value is an integer; a bool is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Return whether a JSON value is a finite number, as a float can hold it; a bool is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and is_finite(value)


def _a(type_name: str) -> str:
    return f"{'an' if type_name[:1] in 'AEIO' else 'a'} {type_name}"


def _file_violations(value: Mapping[str, Any], path: str) -> Iterator[str]:
    try:
        reference_resource(value)
    except InvalidFilename as error:
        yield f"{path}.filename: {error}"
    except FileError as error:
        yield f"{path}: {error}"


def _text(value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{path}: expected a string, got {formatted(value)}"


def _named(value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str) or not value.strip():
        yield f"{path}: expected a string that is not empty, got {formatted(value)}"


def _serial(value: Any, path: str) -> Iterator[str]:
    if not is_int(value) or value < 1:
        yield f"{path}: expected a serial (an integer above 0), got {formatted(value)}"


def _is_a(type_name: str) -> Check:
    return lambda value, path: shape_violations(value, path, type_name=type_name)


def _list(value: Any, path: str, item: Check) -> Iterator[str]:
    if not isinstance(value, list | tuple):
        yield f"{path}: expected a list, got {formatted(value)}"
        return
    for index, element in enumerate(value):
        yield from item(element, f"{path}[{index}]")


def _filename(value: Any, path: str) -> Iterator[str]:
    try:
        check_filename(value)
    except InvalidFilename as error:
        yield f"{path}: {error}"


def _reference(value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path}: expected a file reference (an object with 'source' and 'filename'), got {formatted(value)}"
        return
    yield from _file_violations(value, path)


def _pair(value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list | tuple) or len(value) != _PAIR:
        count = f"{len(value)} items" if isinstance(value, list | tuple) else formatted(value)
        yield f"{path}: expected a pair of images, got {count}"
        return
    yield from _list(value, path, _is_a("Image"))


def _numbers(counts: range | tuple[int, ...], *, whole: bool = False, positive: bool = False) -> Check:
    kind = ("whole " if whole else "") + "numbers" + (" above 0" if positive else "")
    length = f"{counts[0]} to {counts[-1]}" if isinstance(counts, range) else " or ".join(map(str, counts))

    def check(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, list | tuple):
            yield f"{path}: expected a list of {length} {kind}, got {formatted(value)}"
            return
        if len(value) not in counts:
            yield f"{path}: expected {length} {kind}, got {len(value)}"
        for index, item in enumerate(value):
            if not (is_int(item) if whole else is_number(item)) or (positive and item <= 0):
                one = kind.replace("numbers", "number")
                yield f"{path}[{index}]: expected a {one if whole else 'finite ' + one}, got {formatted(item)}"

    return check


FILE_TYPES = frozenset(
    {
        "Bitmap",
        "CSV",
        "Contours",
        "ForeignFile",
        "HTMLDocument",
        "Image",
        "Mesh",
        "SnapshotMetadata",
        "Video",
    }
)
"""The types that are file references themselves: their bulk data is one file, or one and those beside it."""

_FILES_BESIDE = (
    Field("filenames", partial(_list, item=_filename), required=False),
    Field("additional_files", partial(_list, item=_reference), required=False),
)

FIELDS: dict[str, tuple[Field, ...]] = {
    "Contours": (Field("image", _is_a("Image")),),
    "Entity": (Field("uuid", _named), Field("name", _text)),
    "GIResult": (Field("snapshot", _is_a("Snapshot")), Field("gi_image", _is_a("Image"))),
    "Image": (Field("size", _numbers(_AXES, whole=True, positive=True), required=False), *_FILES_BESIDE),
    "ImagePairList": (Field("pairs", partial(_list, item=_pair)),),
    "ImageVOI": (
        Field("pos", _numbers(_SPACE, whole=True)),
        Field("size", _numbers(_SPACE, whole=True, positive=True)),
        Field("image", _is_a("Image")),
        Field("name", _text, required=False),
        Field("category", _text, required=False),
    ),
    "Mesh": _FILES_BESIDE,
    "RegistrationResult": (
        Field("transform", _numbers(_MATRIX)),
        Field("image1", _is_a("Image"), required=False),
        Field("image2", _is_a("Image"), required=False),
        Field("mesh1", _is_a("Mesh"), required=False),
        Field("mesh2", _is_a("Mesh"), required=False),
    ),
    "RotatedImageVOI": (
        Field("pos_mm", _numbers(_SPACE)),
        Field("size_mm", _numbers(_SPACE, positive=True)),
        Field("size", _numbers(_SPACE, whole=True, positive=True)),
        Field("rotation", _numbers(_ROTATION)),
        Field("image", _is_a("Image")),
        Field("name", _text, required=False),
        Field("category", _text, required=False),
    ),
    "Sequence": (Field("task_serial", _serial), Field("key", _named)),
    "Snapshot": (
        Field("bitmap", _is_a("Bitmap")),
        Field("image", _is_a("Image"), required=False),
        Field("image2", _is_a("Image"), required=False),
        Field("mesh", _is_a("Mesh"), required=False),
        Field("metadata", _is_a("SnapshotMetadata"), required=False),
        Field("video", _is_a("Video"), required=False),
    ),
    "Spectra": (Field("amplitudes_image", _is_a("Image")), Field("wavelength_image", _is_a("Image"))),
    "Video": (Field("bitmap", _is_a("Bitmap"), required=False),),
}
"""What each known type holds beside its file."""
