"""Where the inputs of a new task come from, as long as nobody chooses: from what fits, else from a person."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

from xfworker.domain.interface import declared_fields
from xfworker.domain.records import TaskType
from xfworker.domain.workflow_graph import MODES, Step

_NOTHING: Final[Mapping[str, dict[str, Any]]] = MappingProxyType({})


def output_fits(input_type: str, output_type: Any) -> bool:
    """Return whether an input of a type takes an output of another one; an input without a type takes all."""
    return input_type in {"", "Sequence", output_type} or (input_type == "Float" and output_type == "Int")


def first_source(key: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """Give where an input of a new task comes from until somebody chooses."""
    modes = about.get("supported_modes") or ()
    for mode in ("ui", "none", "define_on_first"):
        if mode in modes:
            return {"key": key, "mode": mode} | ({"template": None} if mode == "define_on_first" else {})
    # What comes from another task is connected next; until then a person would be asked.
    return {"key": key, "mode": "ui"}


def sources_behind(
    step: Step, task_type: TaskType, stated: Mapping[str, dict[str, Any]] = _NOTHING, taken: Collection[Any] = ()
) -> list[dict[str, Any]]:
    """
    Give where the inputs of a task come from that is to follow another one: its outputs where they fit, each once.

    Args:
        step: The task that it follows.
        task_type: What the new task does.
        stated: The inputs that somebody chose, by key.
        taken: The outputs of the followed task that are among those.
    """
    outputs = declared_fields(step.task_type.interface, "outputs")
    free = {name: made for name, made in outputs.items() if name not in taken}
    sources = []
    for key, about in declared_fields(task_type.interface, "inputs").items():
        if key in stated:
            sources.append(stated[key])
            continue
        takes_outputs = "output" in (about.get("supported_modes") or MODES)
        fitting = (name for name, made in free.items() if output_fits(about["type"], made["type"]))
        output = next(fitting, None) if takes_outputs else None
        if output is None:
            sources.append(first_source(key, about))
            continue
        del free[output]
        sources.append({"key": key, "mode": "output", "task_serial": step.serial, "output_key": output})
    return sources
