"""Inputs of a job as tests write them: values, arrays that become OMNI images, files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field

from xfworker.api.composition.input_files import describe_input_file
from xfworker.api.facade.omni import Calibration, Image, create_image, create_segments
from xfworker.domain.errors import UsageError
from xfworker.domain.filenames import check_filename
from xfworker.domain.job_inputs import complete_inputs, new_job_violations
from xfworker.services.jobs.staging import StagedFile

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]
else:
    Pixels = Any


@define(frozen=True)
class ImageInput:
    """
    An image made from an array; see :func:`image_input`.

    Attributes:
        pixels: Shape ``(z, y, x)``.
        spacing_mm: Distance between voxel centres along (x, y, z).
        origin_mm: Position of voxel (0, 0, 0) along (x, y, z).
        calibrations: What raw values mean.
        default_unit_type: The unit type that values are to be shown in.
        labels: What the values of segments mean; ``None`` for an image that is none.
        filename: The metadata file's name; by default the input's key with ``.omni``.
    """

    pixels: Pixels
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    calibrations: tuple[Calibration, ...] = ()
    default_unit_type: str | None = None
    labels: tuple[Mapping[str, Any], ...] | None = None
    filename: str | None = None


@define(frozen=True)
class FileInput:
    """
    A file of a stated type; see :func:`file_input`.

    Attributes:
        path: The file.
        type: The type of the parameter that it becomes.
        beside: Further files that belong to it.
    """

    path: Path
    type: str = "ForeignFile"
    beside: tuple[Path, ...] = ()


def image_input(
    pixels: Pixels,
    *,
    spacing_mm: float | Sequence[float] = 1.0,
    origin_mm: Sequence[float] = (0.0, 0.0, 0.0),
    calibrations: Sequence[Calibration] = (),
    default_unit_type: str | None = None,
    labels: Sequence[Mapping[str, Any]] | None = None,
    filename: str | None = None,
) -> ImageInput:
    """
    Make an ``Image`` input from an array.

    Args:
        pixels: Shape ``(z, y, x)``; bools become segments with the values 0 and 1.
        spacing_mm: Distance between voxel centres in mm: one number, or (x, y, z).
        origin_mm: Position of voxel (0, 0, 0) along (x, y, z), in mm.
        calibrations: What raw values mean, such as ``omni.Calibration(unit_type="Density", slope=..., intercept=...)``.
        default_unit_type: The unit type that values are to be shown in.
        labels: What the values mean (``[{"value": 1, "name": "bone"}]``); this makes the image segments.
        filename: The metadata file's name; by default the input's key with ``.omni``.
    """
    steps = (spacing_mm,) * 3 if isinstance(spacing_mm, int | float) else tuple(spacing_mm)
    x, y, z = (float(step) for step in steps)
    return ImageInput(
        pixels=pixels,
        spacing_mm=(x, y, z),
        origin_mm=(float(origin_mm[0]), float(origin_mm[1]), float(origin_mm[2])),
        calibrations=tuple(calibrations),
        default_unit_type=default_unit_type,
        labels=None if labels is None else tuple(labels),
        filename=filename,
    )


def file_input(path: Path | str, *, type: str = "ForeignFile", beside: Sequence[Path | str] = ()) -> FileInput:  # noqa: A002  the word that parameters use
    """
    Make an input of a stated type from a file, where its content should not decide.

    Args:
        path: The file.
        type: The type of the parameter, such as ``Mesh``.
        beside: Further files that belong to it.
    """
    return FileInput(Path(path), type, tuple(Path(other) for other in beside))


@define
class StagedInputs:
    """
    Inputs, sorted into what is sent as a value and what is uploaded.

    Attributes:
        values: Values by key.
        files: Files by key.
    """

    values: dict[str, Any] = field(factory=dict)
    files: dict[str, StagedFile] = field(factory=dict)


def stage_inputs(inputs: Mapping[str, Any], folder: Path, interface: Mapping[str, Any] | None) -> StagedInputs:
    """
    Make a job's inputs from what a test gives.

    numpy arrays with axes become OMNI images (see :func:`image_input`), paths become files (an image by content, a
    table, else a ``ForeignFile``), images of the ``omni`` module become their files, numpy numbers become numbers.
    Everything else is taken as it is.

    Args:
        inputs: Inputs by key.
        folder: Where files for arrays are written.
        interface: The content of the package's ``interface.json``; without one, nothing is checked.

    Raises:
        UsageError: Inputs do not fit the interface; all faults are listed.
        InvalidParameter: A file is not there, or is not an image where one is expected.
    """
    staged = StagedInputs()
    declared = {item["key"]: str(item.get("type")) for item in (interface or {}).get("inputs") or ()}
    for key, value in inputs.items():
        file = _as_file(key, value, folder, declared.get(key))
        if file is None:
            staged.values[key] = _plain(value)
        else:
            staged.files[key] = file
    if interface is not None:
        # Of a file only the type is known before it is stored.
        fields = [item for item in interface.get("inputs") or () if item["key"] not in staged.files]
        violations = new_job_violations({"inputs": fields}, {k: v for k, v in staged.values.items() if v is not None})
        violations += [f"inputs.{key}: is not declared in the interface" for key in staged.files if key not in declared]
        if violations:
            raise UsageError("these inputs cannot be used:\n  " + "\n  ".join(violations))
        staged.values = {k: v for k, v in complete_inputs(interface, staged.values).items() if k not in staged.files}
    return staged


def _as_file(key: str, value: Any, folder: Path, type_name: str | None) -> StagedFile | None:
    if isinstance(value, FileInput):
        return StagedFile(type=value.type, paths=(value.path, *value.beside))
    if isinstance(value, Image):
        return _described(value.metadata_path, "Image")
    if isinstance(value, Path):
        return _described(value, None if type_name in {"Int", "Float", "String", "Bool"} else type_name)
    image = value if isinstance(value, ImageInput) else image_input(value) if _is_array(value) else None
    return None if image is None else _described(_write(key, image, folder), "Image")


def _described(path: Path, type_name: str | None) -> StagedFile:
    from xfworker.api.composition.image_formats import image_formats

    return describe_input_file(path, type_name, image_formats())


def _write(key: str, image: ImageInput, folder: Path) -> Path:
    import numpy as np

    array = np.asarray(image.pixels)
    path = folder / key / check_filename(image.filename or f"{key}.omni")
    path.parent.mkdir(parents=True, exist_ok=True)
    size = tuple(reversed(array.shape))
    if image.labels is None and array.dtype != np.bool_:
        made = create_image(
            path,
            size=size,
            pixel_type=str(array.dtype),
            spacing_mm=image.spacing_mm,
            origin_mm=image.origin_mm,
            calibrations=image.calibrations,
            default_unit_type=image.default_unit_type,
        )
    else:
        labels = image.labels or ()
        made = create_segments(path, size=size, spacing_mm=image.spacing_mm, origin_mm=image.origin_mm, labels=labels)
    made.pixels = array
    made.save()
    return path


def _is_array(value: Any) -> bool:
    return bool(getattr(value, "ndim", 0)) and hasattr(value, "dtype")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    is_numpy_number = hasattr(value, "dtype") and hasattr(value, "item")
    return value.item() if is_numpy_number else value
