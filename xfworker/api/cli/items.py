"""
The ITEMs of a command line: ``key=value``, ``key:=json`` and ``key@file``.

Everything that is wrong with them is checked before anything is started, and reported at once.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field

from xfworker.api.composition.input_files import describe_input_file
from xfworker.domain.errors import ImageError, InvalidFilename, InvalidParameter, UsageError
from xfworker.domain.job_inputs import is_primitive, new_job_violations, read_string, read_untyped
from xfworker.domain.json_value import json_violations
from xfworker.ports.image_codec import ImageFormats
from xfworker.services.jobs.staging import StagedFile

_ITEM = re.compile(r"(?P<key>[^=@:\s][^=@:]*?)(?P<operator>:=|=|@)(?P<text>.*)", re.DOTALL)


@define(frozen=True)
class Item:
    """
    One word of the command line.

    Attributes:
        key: The input's key.
        operator: ``=``, ``:=`` or ``@``.
        text: What follows it.
    """

    key: str
    operator: str
    text: str


@define
class Inputs:
    """
    The inputs of a job, as the command line names them.

    Attributes:
        values: Values by key; those of files are not among them.
        files: Files by key.
    """

    values: dict[str, Any] = field(factory=dict)
    files: dict[str, StagedFile] = field(factory=dict)


def read_inputs(words: Sequence[str], interface: Mapping[str, Any] | None, images: ImageFormats) -> Inputs:
    """
    Read all ITEMs.

    Args:
        words: The ITEMs.
        interface: The content of the target's ``interface.json``; without one, ``=`` takes what looks like a number as
            a number, ``true`` and ``false`` as bools, and all else as a string.
        images: Recognises image files.

    Raises:
        UsageError: With every error, one line each.
    """
    inputs = Inputs()
    errors: list[str] = []
    declared = {} if interface is None else {field["key"]: field for field in interface.get("inputs") or ()}
    keys = set()
    for word in words:
        match = _ITEM.fullmatch(word)
        if match is None:
            errors.append(f"{word!r} is not an ITEM; write key=value, key:=json or key@file")
            continue
        item = Item(match["key"], match["operator"], match["text"])
        if item.key in keys:
            errors.append(f"{item.key}: is given twice")
        elif interface is None or item.key in declared:
            try:
                _take(item, declared.get(item.key), images, inputs)
            except (InvalidParameter, InvalidFilename, ImageError, OSError) as error:
                errors.append(f"{item.key}: {error}")
        else:
            known = ", ".join(declared) or "none"
            errors.append(f"{item.key}: there is no such input; inputs are: {known}")
        keys.add(item.key)
    if interface is not None:
        errors += _interface_errors(interface, inputs, keys)
    if errors:
        raise UsageError("these inputs cannot be used:\n  " + "\n  ".join(errors))
    return inputs


def _take(item: Item, declared: Mapping[str, Any] | None, images: ImageFormats, inputs: Inputs) -> None:
    if item.operator == "@":
        if declared is not None and is_primitive(declared):
            raise InvalidParameter(f"is of type {declared['type']}, so it takes a value (=), not a file (@)")
        expected = None if declared is None else declared["type"]
        inputs.files[item.key] = describe_input_file(Path(item.text), expected, images)
    else:
        inputs.values[item.key] = _value(item, declared)


def _value(item: Item, declared: Mapping[str, Any] | None) -> Any:
    if item.operator == ":=":
        value = _json(item.text)
    else:
        value = read_untyped(item.text) if declared is None else read_string(declared, item.text)
    for violation in json_violations(value):
        raise InvalidParameter(violation.removeprefix("$: "))
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidParameter("is nested too deeply") from None
    except ValueError as error:
        raise InvalidParameter(f"is not JSON ({error}); strings need quotes, such as key:='\"text\"'") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not in JSON")


def _interface_errors(interface: Mapping[str, Any], inputs: Inputs, named: set[str]) -> list[str]:
    values = {key: value for key, value in inputs.values.items() if value is not None}
    # Files have the declared type already; their paths in the store are not known before they are uploaded. What was
    # named but could not be read has its own line.
    left_out = named - set(inputs.values)
    fields = [field for field in interface.get("inputs") or () if field["key"] not in left_out]
    return [error.removeprefix("inputs.") for error in new_job_violations({"inputs": fields}, values)]
