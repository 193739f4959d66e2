"""Where a task's inputs come from, as the workflow editor offers it and reads it back."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from xfworker.adapters.page.strings import strings
from xfworker.domain.connections import output_fits
from xfworker.domain.errors import InvalidParameter
from xfworker.domain.interface import PRIMITIVE_TYPES, declared_fields, value_violations
from xfworker.domain.job_inputs import read_string
from xfworker.domain.records import Task, TaskType
from xfworker.domain.workflow_graph import MODES, Step
from xfworker.services.platform.server import PlatformServer

OF_TASK = ""
"""What stands for the task as a whole among the keys of its inputs."""

_SOURCE = "source."
_FIXED = "fixed."
_OF_INPUT = re.compile(r"inputs\[(\d{1,9})\][^:]*: (.*)", re.ASCII | re.DOTALL)


@define(frozen=True)
class ReadSources:
    """
    What a form says of a task.

    Attributes:
        values: The task's new values by JSON pointer.
        violations: What is wrong with what was written, by the input's key.
    """

    values: dict[str, Any]
    violations: dict[str, str] = field(factory=dict)

    def listed(self) -> list[str]:
        """Give the violations as sentences."""
        return [f"{key}: {message}" for key, message in self.violations.items()]

    def by_input(self, violations: Sequence[str]) -> dict[str, str]:
        """Give violations of the task's record by the key of the input that they are about."""
        inputs = self.values["/inputs"]
        by_key: dict[str, str] = {}
        for violation in violations:
            match = _OF_INPUT.fullmatch(violation)
            key = inputs[int(match[1])]["key"] if match and int(match[1]) < len(inputs) else OF_TASK
            by_key[key] = "; ".join(filter(None, (by_key.get(key), match[2] if match else violation)))
        return by_key


def inputs_of(step: Step) -> list[tuple[str, Mapping[str, Any]]]:
    """Give a task's inputs, by key, with what its task type declares of each."""
    declared = declared_fields(step.task_type.interface, "inputs")
    listed: dict[str, Mapping[str, Any]] = {str(item.get("key")): {} for item in step.task.inputs if item.get("key")}
    return list({**listed, **declared}.items())


def choice(step: Step, key: str, about: Mapping[str, Any], steps: Sequence[Step]) -> dict[str, Any]:
    """Give an input with the sources that fit it, and the one that it has."""
    now = next((item for item in step.task.inputs if item.get("key") == key), {"mode": "none"})
    modes = about.get("supported_modes") or MODES
    type_name = str(about.get("type", ""))
    said = strings()["modes"]
    choices = [(mode, said[mode]) for mode in ("ui", "none", "define_on_first", "fixed") if mode in modes]
    if "fixed" in modes and type_name and type_name not in PRIMITIVE_TYPES:
        choices.remove(("fixed", said["fixed"]))
    if "output" in modes:
        choices += [
            (f"output:{other.serial}:{output}", f"{other.task.name or other.serial}: {output}")
            for other in steps
            if other.serial != step.serial
            for output, made in declared_fields(other.task_type.interface, "outputs").items()
            if output_fits(type_name, made.get("type"))
        ]
    value = now["mode"] if now["mode"] != "output" else f"output:{now.get('task_serial')}:{now.get('output_key')}"
    if value not in dict(choices):
        choices.append((value, said.get(now["mode"], value) if now["mode"] != "output" else value.partition(":")[2]))
    fixed = now.get("fixed_value")
    written = ("true" if fixed else "false") if isinstance(fixed, bool) else "" if fixed is None else str(fixed)
    return {"key": key, "type": type_name, "choices": choices, "value": value, "fixed": written, "about": about}


def read_sources(server: PlatformServer, serial: int, entered: Mapping[str, str]) -> tuple[Task, ReadSources]:
    """Give a task, and what a form says of it."""
    task = server.get(Task, serial)
    declared = declared_fields(server.get(TaskType, task.task_type_serial).interface, "inputs")
    sources, violations = sources_in(entered, declared, {str(item.get("key")): item for item in task.inputs})
    return task, ReadSources({"/name": entered.get("name", "").strip(), "/inputs": sources}, violations)


def sources_in(
    entered: Mapping[str, str], declared: Mapping[str, Mapping[str, Any]], kept: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], dict[str, str]]:
    """
    Read where a task's inputs come from, and what is wrong with what was written, by the input's key.

    Args:
        entered: The form.
        declared: What the task type declares of each input.
        kept: The inputs that the task has already, by key.
    """
    sources: list[Mapping[str, Any]] = []
    violations: dict[str, str] = {}
    for key in dict.fromkeys((*kept, *declared)):
        text = entered.get(f"{_SOURCE}{key}")
        if text is None:
            sources += [kept[key]] if key in kept else []
            continue
        try:
            about = declared.get(key, {"type": "String"})
            sources.append(_source(key, about, kept.get(key, {}), text, entered.get(f"{_FIXED}{key}", "")))
        except InvalidParameter as error:
            violations[key] = str(error)
            sources.append({"key": key, "mode": "none"})
    return sources, violations


def _source(key: str, about: Mapping[str, Any], kept: Mapping[str, Any], text: str, fixed: str) -> dict[str, Any]:
    mode, _, rest = text.partition(":")
    source: dict[str, Any] = {"key": key, "mode": mode}
    if mode == "output":
        serial, _, output = rest.partition(":")
        if not serial.isascii() or not serial.isdigit():
            raise InvalidParameter("choose an output")
        source |= {"task_serial": int(serial), "output_key": output}
    elif mode == "fixed" and kept.get("mode") == "fixed" and about.get("type") not in PRIMITIVE_TYPES:
        source["fixed_value"] = kept.get("fixed_value")  # set over the API; it cannot be written as one string
    elif mode == "fixed":
        source["fixed_value"] = read_string(about, fixed)
        wrong = [violation.partition(": ")[2] for violation in value_violations(about, source["fixed_value"], key)]
        if wrong:
            raise InvalidParameter("; ".join(wrong))
    elif mode == "define_on_first":
        source["template"] = kept.get("template")
    return source
