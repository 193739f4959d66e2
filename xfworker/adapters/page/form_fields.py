"""Forms made from what a task type declares, and the values that come back from them."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, evolve

from xfworker.adapters.page.values import DRAWN, FileLink
from xfworker.domain.errors import InvalidParameter, XFWorkerError
from xfworker.domain.files import parse_resource, reference_resource, resource_reference
from xfworker.domain.interface import declared_fields
from xfworker.domain.job_inputs import is_required, read_string
from xfworker.domain.parameter_shapes import FILE_TYPES
from xfworker.domain.parameters import create_parameter

PREFIX = "value."
TEMPLATE_PREFIX = "template."
"""Of inputs that a person defines while finishing a job; an output may have the same key."""
_MAIN_FIRST = (".omni", ".mhd", ".mha", ".nhdr", ".hdr", ".vgi", ".aim", ".isq", ".csv")


@define(frozen=True, kw_only=True)
class FormField:
    """
    One declared input or output as a form shows it.

    Attributes:
        key: Its key.
        type_name: Its parameter type.
        control: ``number``, ``choice``, ``bool``, ``time``, ``lines``, ``text``, ``files``, ``sequence``, ``entity`` or
            ``json``.
        description: What the task type says of it.
        required: Whether it must be filled in.
        value: What is filled in, as the form writes it.
        choices: The values to choose from, as value and text.
        minimum: The least number, or ``None``.
        maximum: The greatest number, or ``None``.
        step: What a number is a multiple of: ``1`` for integers, ``any`` where nothing is declared.
        unit: Its unit, or an empty string.
        errors: What is wrong with what was filled in.
        prefix: What stands before the key in the form's name for it.
    """

    key: str
    type_name: str
    control: str
    description: str = ""
    required: bool = False
    value: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    step: str = "any"
    unit: str = ""
    errors: tuple[str, ...] = ()
    prefix: str = PREFIX

    @property
    def name(self) -> str:
        """The form's name for it."""
        return f"{self.prefix}{self.key}"

    @property
    def drawing(self) -> str:
        """What is drawn for it on an image: the viewer's mode, or an empty string."""
        return DRAWN.get(self.type_name, "") if self.control in {"json", "files"} else ""

    @property
    def kept_path(self) -> str:
        """The file that is there already, as a part of an address, or an empty string."""
        try:
            value = json.loads(self.value or "null")
            if isinstance(value, dict) and set(value) == {"files", "image"}:
                return FileLink(parse_resource(str(value["files"][0]))).path
            return FileLink(reference_resource(value)).path if isinstance(value, dict) else ""
        except (ValueError, LookupError, TypeError, XFWorkerError):
            return ""  # what was filled in is not a file, which the form says


def form_fields(
    interface: Mapping[str, Any],
    part: str,
    *,
    keys: Sequence[str] | None = None,
    values: Mapping[str, Any] | None = None,
    entered: Mapping[str, str] | None = None,
    violations: Sequence[str] = (),
    sequences: Sequence[tuple[str, str]] = (),
    prefix: str = PREFIX,
) -> list[FormField]:
    """
    Make the fields of a form.

    Args:
        interface: What the task type declares.
        part: ``inputs`` or ``outputs``.
        keys: Which of them, by default all.
        values: What they are now.
        entered: What somebody filled in before, which stays.
        violations: What was wrong with that, each starting with ``inputs.KEY`` or ``outputs.KEY``.
        sequences: The sequences that there are to choose from, as value and text.
        prefix: What stands before each key in the form's names.
    """
    fields = []
    for key, declared in declared_fields(interface, part).items():
        if keys is not None and key not in keys:
            continue
        now = (values or {}).get(key)
        written = _written(declared.get("default") if now is None else now)
        own = tuple(
            violation.removeprefix(f"{part}.{key}").lstrip(": ")
            for violation in violations
            if violation.startswith((f"{part}.{key}:", f"{part}.{key}.", f"{part}.{key}["))
        )
        field = _field(key, declared, (entered or {}).get(key, written), own, sequences)
        fields.append(evolve(field, prefix=prefix))
    return fields


def read_form(
    interface: Mapping[str, Any], part: str, entered: Mapping[str, str], *, keys: Sequence[str] | None = None
) -> dict[str, Any]:
    """
    Read the values of a form; what was left empty is ``None``.

    Raises:
        InvalidParameter: With every value that is not of its type.
    """
    values: dict[str, Any] = {}
    violations: list[str] = []
    for key, declared in declared_fields(interface, part).items():
        if keys is not None and key not in keys:
            continue
        text = entered.get(key, "")
        try:
            values[key] = None if not text.strip() else _value(declared, text)
        except XFWorkerError as error:
            violations.append(f"{part}.{key}: {error}")
    if violations:
        raise InvalidParameter("; ".join(violations), violations)
    return values


def _field(
    key: str,
    declared: Mapping[str, Any],
    value: str,
    errors: tuple[str, ...],
    sequences: Sequence[tuple[str, str]],
) -> FormField:
    type_name = str(declared.get("type"))
    control = _control(declared, type_name)
    choices: tuple[tuple[str, str], ...] = ()
    if control == "choice":
        choices = tuple((str(item), str(item)) for item in declared["enum"])
    elif control == "sequence":
        choices = tuple(sequences)
    limits = {name: declared.get(name) for name in ("minimum", "maximum", "multipleOf")}
    numbers = {name: item for name, item in limits.items() if isinstance(item, int | float)}
    step = "1" if type_name == "Int" else str(numbers.get("multipleOf", "any"))
    return FormField(
        key=key,
        type_name=type_name,
        control=control,
        description=str(declared.get("description") or ""),
        required=is_required(declared),
        value=value,
        choices=choices,
        minimum=numbers.get("minimum"),
        maximum=numbers.get("maximum"),
        step=step,
        unit=str(declared.get("unit") or ""),
        errors=errors,
    )


def _control(declared: Mapping[str, Any], type_name: str) -> str:
    if type_name == "String" and isinstance(declared.get("enum"), list):
        return "choice"
    if type_name == "String":
        return {"multiline": "lines", "commonmark": "lines", "date-time": "time"}.get(
            str(declared.get("format")), "text"
        )
    if type_name in FILE_TYPES:
        return "files"
    return {"Int": "number", "Float": "number", "Bool": "bool", "Sequence": "sequence", "Entity": "entity"}.get(
        type_name, "json"
    )


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and value.get("type") == "Entity":
        return str(value.get("name") or "")
    return json.dumps(value, ensure_ascii=False)


def _value(declared: Mapping[str, Any], text: str) -> Any:
    type_name = str(declared.get("type"))
    control = _control(declared, type_name)
    if control in {"number", "bool", "choice", "text", "lines", "time"}:
        # Browsers end lines as forms are sent, not as people write them.
        return read_string(declared, text.replace("\r\n", "\n"))
    if control == "files":
        return _files(type_name, text)
    if control == "entity":
        return {"type": "Entity", "uuid": str(uuid.uuid4()), "name": text.strip()}
    return _json(text)


def _files(type_name: str, text: str) -> Any:
    value = _json(text)
    beside: dict[str, Any] = {}
    if isinstance(value, dict) and set(value) == {"files", "image"}:  # contours name the image that they lie on
        value, beside = value["files"], {"image": value["image"]}
    if isinstance(value, dict):  # what was there before stays
        return value
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise InvalidParameter("choose a file")
    resources = sorted((parse_resource(item) for item in value), key=lambda resource: _rank(resource.filename))
    main, *others = resources
    reference = {**resource_reference(main), "filenames": [other.filename for other in others] or None}
    return create_parameter(type_name, **reference, **beside)


def _rank(filename: str) -> int:
    lower = filename.lower()
    return next((index for index, suffix in enumerate(_MAIN_FIRST) if lower.endswith(suffix)), len(_MAIN_FIRST))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidParameter(f"expected JSON: {error}") from None
