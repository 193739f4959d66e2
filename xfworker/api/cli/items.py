"""
The ITEMs of a command line: ``key=value``, ``key:=json`` and ``key@file``.

``key@job:12:mask`` is an output of an earlier job, ``key@task:7:volume`` the sequence of what a task's jobs made.
Everything that is wrong with items is checked before anything is started, and reported at once.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field

from xfworker.api.composition.input_files import describe_input_file
from xfworker.domain.errors import ImageError, InvalidFilename, InvalidParameter, UsageError
from xfworker.domain.interface import input_violations
from xfworker.domain.job_inputs import is_primitive, new_job_violations, read_string, read_untyped
from xfworker.domain.json_value import json_violations
from xfworker.domain.records import Job, Task, Workflow
from xfworker.ports.image_codec import ImageFormats
from xfworker.ports.xf_server import XFServer
from xfworker.services.jobs.staging import StagedFile, StagedSequence

_ITEM = re.compile(r"(?P<key>[^=@:\s][^=@:]*?)(?P<operator>:=|=|@)(?P<text>.*)", re.DOTALL)
_EARLIER = re.compile(r"(?P<kind>job|task):(?P<serial>[1-9]\d{0,17}):(?P<output>.+)", re.ASCII | re.DOTALL)
_SEQUENCE = "Sequence"


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


@define(frozen=True)
class EarlierOutput:
    """
    Something that is on the server already.

    Attributes:
        kind: ``job`` for one output of a job, ``task`` for the sequence of an output of all its jobs.
        serial: The serial of the job or task.
        output: The output's key.
    """

    kind: str
    serial: int
    output: str


@define
class Inputs:
    """
    The inputs of a job, as the command line names them.

    Attributes:
        values: Values by key; those of files are not among them.
        files: Files by key.
        sequences: Sequences of values and files by key.
        earlier: What is on the server already, by key.
    """

    values: dict[str, Any] = field(factory=dict)
    files: dict[str, StagedFile] = field(factory=dict)
    sequences: dict[str, StagedSequence] = field(factory=dict)
    earlier: dict[str, EarlierOutput] = field(factory=dict)

    @property
    def keys(self) -> set[str]:
        """The keys of all inputs."""
        return {*self.values, *self.files, *self.sequences, *self.earlier}


def split_item(word: str) -> Item | None:
    """Give the parts of an ITEM, or ``None`` where a word is not one."""
    match = _ITEM.fullmatch(word)
    return None if match is None else Item(match["key"], match["operator"], match["text"])


def is_item(word: str) -> bool:
    """Return whether a word has the form of an ITEM."""
    return split_item(word) is not None


def read_inputs(
    words: Sequence[str],
    interface: Mapping[str, Any] | None,
    images: ImageFormats,
    *,
    complete: bool = True,
    part: str = "input",
) -> Inputs:
    """
    Read all ITEMs.

    Args:
        words: The ITEMs.
        interface: The content of the target's ``interface.json``; without one, ``=`` takes what looks like a number as
            a number, ``true`` and ``false`` as bools, and all else as a string.
        images: Recognises image files.
        complete: Whether all inputs that the interface requires must be among them.
        part: What errors call a value: an input, or an output where a person finishes a job.

    Raises:
        UsageError: With every error, one line each.
    """
    inputs = Inputs()
    errors: list[str] = []
    declared = {} if interface is None else {field["key"]: field for field in interface.get("inputs") or ()}
    keys: set[str] = set()
    for word in words:
        item = split_item(word)
        if item is None:
            errors.append(f"{word!r} is not an ITEM; write key=value, key:=json or key@file")
            continue
        is_more = item.key in inputs.sequences and item.operator != ":="
        if item.key in keys and not is_more:
            errors.append(f"{item.key}: is given twice")
        elif interface is None or item.key in declared:
            try:
                _take(item, declared.get(item.key), images, inputs)
            except (InvalidParameter, InvalidFilename, ImageError, OSError) as error:
                errors.append(f"{item.key}: {error}")
        else:
            known = ", ".join(declared) or "none"
            errors.append(f"{item.key}: there is no such {part}; {part}s are: {known}")
        keys.add(item.key)
    if interface is not None:
        errors += _interface_errors(interface, inputs, keys, complete=complete)
    if errors:
        raise UsageError(f"these {part}s cannot be used:\n  " + "\n  ".join(errors))
    return inputs


def earlier_values(
    server: XFServer, inputs: Inputs, interface: Mapping[str, Any] | None, *, part: str = "input"
) -> dict[str, Any]:
    """
    Give the values of the inputs that are on the server already.

    Args:
        server: Has the values.
        inputs: The ITEMs that were read.
        interface: As in :func:`read_inputs`.
        part: What errors call a value: an input or an output.

    Raises:
        UsageError: One has no such output, or does not fit the interface; with every error, one line each.
        RecordNotFound: There is no such job or task.
    """
    values: dict[str, Any] = {}
    errors: list[str] = []
    for key, earlier in inputs.earlier.items():
        if earlier.kind == "task":
            task = server.get(Task, earlier.serial)
            values[key] = {"type": _SEQUENCE, "task_serial": task.serial, "key": earlier.output}
            continue
        job = server.get(Job, earlier.serial)
        if earlier.output in job.outputs:
            values[key] = job.outputs[earlier.output]
        else:
            known = ", ".join(job.outputs) or "none"
            errors.append(f"{key}: job {job.serial} ({job.state}) has no output {earlier.output!r}; it has: {known}")
    if interface is not None:
        fields = [field for field in interface.get("inputs") or () if field["key"] in values]
        errors += [error.removeprefix("inputs.") for error in input_violations({"inputs": fields}, values)]
    if errors:
        raise UsageError(f"these {part}s cannot be used:\n  " + "\n  ".join(errors))
    return values


def earlier_project(server: XFServer, inputs: Inputs) -> int | None:
    """
    Give the project of the inputs that are on the server already, in which alone a job sees them.

    Raises:
        UsageError: They are of several projects.
    """
    projects = {_project(server, earlier) for earlier in inputs.earlier.values()}
    if len(projects) > 1:
        listed = ", ".join(map(str, sorted(projects)))
        raise UsageError(f"the inputs are of several projects ({listed}); a job sees one of them only")
    return next(iter(projects), None)


def _project(server: XFServer, earlier: EarlierOutput) -> int:
    workflow_serial = (
        server.get(Task, earlier.serial).workflow_serial
        if earlier.kind == "task"
        else server.get(Job, earlier.serial).workflow_serial
    )
    return server.get(Workflow, workflow_serial).project_serial


def _take(item: Item, declared: Mapping[str, Any] | None, images: ImageFormats, inputs: Inputs) -> None:
    earlier = _EARLIER.fullmatch(item.text) if item.operator == "@" and not Path(item.text).exists() else None
    if earlier is not None:
        inputs.earlier[item.key] = EarlierOutput(earlier["kind"], int(earlier["serial"]), earlier["output"])
    elif declared is not None and declared["type"] == _SEQUENCE:
        _take_sequence(item, images, inputs)
    elif item.operator == "@":
        if declared is not None and is_primitive(declared):
            raise InvalidParameter(f"is of type {declared['type']}, so it takes a value (=), not a file (@)")
        expected = None if declared is None else declared["type"]
        inputs.files[item.key] = describe_input_file(Path(item.text), expected, images)
    else:
        value = item_value(item, declared)
        if declared is None and isinstance(value, dict) and set(value) == {"type", "values"}:
            value = _sequence(value["values"], images) if value["type"] == _SEQUENCE else value
        if isinstance(value, StagedSequence):
            inputs.sequences[item.key] = value
        else:
            inputs.values[item.key] = value


def _take_sequence(item: Item, images: ImageFormats, inputs: Inputs) -> None:
    before = inputs.sequences.get(item.key, StagedSequence(()))
    if item.operator == "@":
        more: tuple[Any, ...] = (describe_input_file(Path(item.text), None, images),)
    elif item.operator == "=":
        more = (item_value(item, None),)
    else:
        value = item_value(item, None)
        if isinstance(value, dict) and value.get("type") == _SEQUENCE and "values" not in value:
            inputs.values[item.key] = value
            return
        more = _sequence(value["values"] if isinstance(value, dict) and "values" in value else value, images).values
    inputs.sequences[item.key] = StagedSequence((*before.values, *more))


def _sequence(values: Any, images: ImageFormats) -> StagedSequence:
    """Read the values of a sequence; ``{"file": PATH}`` among them is a file."""
    if not isinstance(values, list):
        raise InvalidParameter('the values of a sequence are a list, such as [1, 2.5, {"file": "scan.aim"}]')
    return StagedSequence(
        tuple(
            describe_input_file(Path(str(value["file"])), None, images)
            if isinstance(value, dict) and set(value) == {"file"}
            else value
            for value in values
        )
    )


def item_value(item: Item, declared: Mapping[str, Any] | None) -> Any:
    """
    Give the value that an ITEM with ``=`` or ``:=`` states.

    Args:
        item: The ITEM.
        declared: What an interface declares of it, if it does.

    Raises:
        InvalidParameter: It is not JSON, or not a value of the declared type.
    """
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


def _interface_errors(interface: Mapping[str, Any], inputs: Inputs, named: set[str], *, complete: bool) -> list[str]:
    values = {key: value for key, value in inputs.values.items() if value is not None}
    # Files have the declared type already; their paths in the store are not known before they are uploaded. What was
    # named but could not be read has its own line.
    left_out = named - set(inputs.values)
    fields = [field for field in interface.get("inputs") or () if field["key"] not in left_out]
    check = new_job_violations if complete else input_violations
    return [error.removeprefix("inputs.") for error in check({"inputs": fields}, values)]
