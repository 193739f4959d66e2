"""Replaces inputs of the captured job, wherever its record shows them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve

from xfworker.domain.errors import UsageError
from xfworker.services.capture.calls import RecordedCall, short

_INPUTS = "inputs"


def captured_inputs(calls: Sequence[RecordedCall]) -> dict[str, Any]:
    """Give the inputs of the captured job by key, encoded; empty where its record does not show any."""
    job = captured_job(calls)
    inputs = job.get(_INPUTS) if isinstance(job, dict) else None
    return dict(inputs) if isinstance(inputs, dict) else {}


def with_inputs(calls: Sequence[RecordedCall], values: Mapping[str, Any]) -> list[RecordedCall]:
    """
    Give the calls of a job with other inputs.

    Inputs are looked for under ``inputs`` of the job's record, which is documented, or else in whichever object of the
    record has the key; they are replaced in everything that calls gave.

    Args:
        calls: The recorded calls.
        values: The new inputs by key, encoded.

    Raises:
        UsageError: The job has no such input, or several objects of its record have the key.
    """
    job = captured_job(calls)
    replaced = list(calls)
    for key, value in values.items():
        container, old = _found(job, key)
        replaced = [
            evolve(
                call,
                result=_replaced({container: call.result}, container, key, old, value)[container]
                if call.function == "__getitem__" and container in call.args.values()
                else _replaced(call.result, container, key, old, value),
                after=None if call.after is None else _replaced(dict(call.after), container, key, old, value),
            )
            for call in replaced
        ]
    return replaced


def captured_job(calls: Sequence[RecordedCall]) -> Any:
    """Give the job's record: from the object that the script worked with, or from loading it."""
    for call in calls:
        state = call.result.get("state") if isinstance(call.result, dict) else None
        job = state.get("job") if call.name == "XFWorkerJob" and isinstance(state, dict) else None
        if isinstance(job, dict) and _plain(job):
            return _plain(job)
    for call in calls:
        is_job = call.name in ("XFWorkerJob.job", "XFWorkerJob.load_job") and isinstance(call.result, dict)
        if is_job and _plain(call.result):
            return _plain(call.result)
    # A job of a class of its own, of which only what the script read is known.
    read = [call for call in calls if call.function == "__getitem__" and _INPUTS in call.args.values()]
    return {_INPUTS: _plain(read[0].result)} if read else {}


def _plain(value: Any) -> Any:
    """Give records of classes of their own as what they hold."""
    if isinstance(value, dict) and value.get("$") == "dict":
        pairs = value.get("items", ())
        return {str(key): _plain(item) for key, item in pairs if isinstance(key, str)}
    if isinstance(value, dict):
        state = value.get("state")
        return (
            _plain(state)
            if value.get("$") == "object" and isinstance(state, dict)
            else {k: _plain(v) for k, v in value.items()}
        )
    return value


def _found(job: Any, key: str) -> tuple[str, Any]:
    """Give the name of the object that holds an input, and the input's value."""
    inputs = job.get(_INPUTS) if isinstance(job, dict) else None
    if isinstance(inputs, dict) and key in inputs:
        return _INPUTS, inputs[key]
    holders = list(_holders(job, key, "")) if isinstance(job, dict) and not isinstance(inputs, dict) else []
    if len(holders) == 1:
        return holders[0]
    known = ", ".join(f"{name}={short(value)}" for name, value in (inputs or {}).items()) or "none that can be named"
    if holders:
        raise UsageError(
            f"{key}: several objects of the captured job have such a key: {', '.join(h[0] for h in holders)}"
        )
    raise UsageError(f"{key}: the captured job has no such input; it has: {known}")


def _holders(value: Any, key: str, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        if key in value and name:
            yield name, value[key]
        for inner, item in value.items():
            yield from _holders(item, key, inner)


def _replaced(value: Any, container: str, key: str, old: Any, new: Any) -> Any:
    if isinstance(value, list):
        return [_replaced(item, container, key, old, new) for item in value]
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for name, item in value.items():
        if name == container and isinstance(item, dict) and key in item and _plain(item[key]) == old:
            result[name] = {**item, key: new}
        elif name == container and isinstance(item, dict) and item.get("$") == "dict":
            pairs = [[k, new if k == key and _plain(v) == old else v] for k, v in item.get("items", ())]
            result[name] = {**item, "items": pairs}
        elif name == "items" and value.get("$") == "dict" and isinstance(item, list):
            result[name] = [_pair(pair, container, key, old, new) for pair in item]
        else:
            result[name] = _replaced(item, container, key, old, new)
    return result


def _pair(pair: Any, container: str, key: str, old: Any, new: Any) -> Any:
    name, item = pair
    return [name, _replaced({str(name): item}, container, key, old, new)[str(name)]]
