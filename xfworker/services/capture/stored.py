"""What the captured job stored: files under the names that they have on the server, and the facts of images."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define

from xfworker.services.capture.calls import RecordedCall

_DEEPEST = 8


@define(frozen=True, kw_only=True)
class StoredFile:
    """
    A file that the captured job stored.

    Attributes:
        key: The SHA-256 that its content had; ``None`` where the content was not read.
        omitted: Why the content is not in the capture; empty where it is.
    """

    key: str | None
    omitted: str = ""


def stored_files(calls: Sequence[RecordedCall]) -> dict[str, StoredFile]:
    """Give the files that were stored, by name; those of user data are ``userdata/`` and their virtual path."""
    images: dict[int | None, list[Mapping[str, Any]]] = {}
    stored: dict[str, StoredFile] = {}
    for call in calls:
        if call.function.startswith("upload") and call.raised is None:
            _remember(dict(call.args), images)
            virtualpath = call.args.get("virtualpath")
            for value in call.args.values():
                for path in _paths(value, images):
                    name = f"userdata/{virtualpath}" if virtualpath else str(path.get("name"))
                    stored[name] = _stored(path)
        for encoded in (call.result, dict(call.args)):
            _remember(encoded, images)
        if call.after is not None and call.owner is not None:
            _remember({"$": "object", "id": call.owner, "state": dict(call.after)}, images)
    return stored


def with_data(value: Any, calls: Sequence[RecordedCall]) -> Any:
    """Give an encoded value with the data of its objects, as they were last recorded, in place of references."""
    data: dict[int | None, dict[str, Any]] = {}
    for call in calls:
        for encoded in (dict(call.args), call.result):
            _remember_data(encoded, data)
        if call.after is not None and call.owner is not None:
            _remember_data({"$": "object", "id": call.owner, "state": dict(call.after)}, data)
    return _with_data(value, data, 0)


def _with_data(value: Any, data: Mapping[int | None, dict[str, Any]], depth: int) -> Any:
    if isinstance(value, list):
        return [_with_data(item, data, depth) for item in value]
    if not isinstance(value, dict):
        return value
    number = value.get("id")
    if value.get("$") == "object" and isinstance(number, int) and number in data and depth < _DEEPEST:
        return _with_data(data[number], data, depth + 1)
    return {key: _with_data(item, data, depth) for key, item in value.items()}


def _remember_data(value: Any, data: dict[int | None, dict[str, Any]]) -> None:
    if isinstance(value, list):
        for item in value:
            _remember_data(item, data)
    elif isinstance(value, dict):
        state = value.get("state")
        if value.get("$") == "object" and isinstance(state, dict):
            data[value.get("id")] = {key: item for key, item in state.items() if not key.startswith("$")}
        for item in value.values():
            _remember_data(item, data)


def _stored(path: Mapping[str, Any]) -> StoredFile:
    file = path.get("file")
    if not isinstance(file, Mapping):
        return StoredFile(key=None, omitted="it was not there when it was stored")
    return StoredFile(key=file.get("sha256"), omitted=str(file.get("omitted", "")))


def _paths(value: Any, images: Mapping[int | None, list[Mapping[str, Any]]]) -> Iterator[Mapping[str, Any]]:
    if not isinstance(value, dict):
        return
    if value.get("$") == "path":
        yield value
    elif value.get("$") == "object":
        yield from images.get(value.get("id"), ())


def _remember(value: Any, images: dict[int | None, list[Mapping[str, Any]]]) -> None:
    if isinstance(value, list):
        for item in value:
            _remember(item, images)
    elif isinstance(value, dict):
        state = value.get("state")
        if value.get("$") == "object" and isinstance(state, dict) and isinstance(state.get("$image"), dict):
            files = state["$image"].get("files")
            images[value.get("id")] = [item for item in files or () if isinstance(item, dict)]
        for item in value.values():
            _remember(item, images)
