"""
Parameters: the values that go into a job and come out of it.

A primitive is a JSON number, string or bool. A composite is an object with ``type``; its bulk data lies in files
that it names by references. The set of types is open, so files are recognised by shape, in types known or not.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.filenames import is_safe_filename
from xfworker.domain.files import SERIAL_KEYS, USERDATA

_DEEPEST = 64


def create_parameter(type_name: str, **kwargs: Any) -> dict[str, Any]:
    """
    Make a composite parameter: ``type`` and the given fields, without those that are ``None``.

    Raises:
        InvalidParameter: The type has no name, or is given twice.
    """
    if not isinstance(type_name, str) or not type_name:
        raise InvalidParameter(f"a composite parameter needs the name of its type, not {type_name!r:.80}")
    if "type" in kwargs:
        raise InvalidParameter(
            f"the type of a composite parameter is {type_name!r:.80} already; it has no field 'type'"
        )
    return {"type": type_name} | {key: value for key, value in kwargs.items() if value is not None}


def file_references(parameter: Any, *, only_additional: bool = False) -> list[dict[str, Any]]:
    """
    List the references to all files of a parameter: its main file first, then those beside it, each once.

    A composite's main file is named by its own ``source`` and ``filename``. Files beside it are named by ``filenames``
    (same source as the main file) and ``additional_files`` (references of their own). Composites inside it, however
    deep, bring theirs.

    Args:
        parameter: A parameter value of any type; primitives and ``None`` have no files.
        only_additional: Leave out the main file of the parameter itself.

    Returns:
        File references ``{source, <serial key> or virtualpath, filename}``.

    Raises:
        InvalidParameter: A name in ``filenames`` is none, or the value is nested too deep.
    """
    references: list[dict[str, Any]] = []
    main = _own_reference(parameter) if isinstance(parameter, Mapping) else None
    for reference in _walk(parameter):
        if reference not in references and not (only_additional and reference == main):
            references.append(reference)
    return references


def sequence_tasks(parameter: Any) -> list[int]:
    """List the tasks whose outputs the sequences in a parameter are made of, each once."""
    tasks: list[int] = []
    for composite in _composites(parameter):
        serial = composite.get("task_serial")
        if composite.get("type") == "Sequence" and isinstance(serial, int) and serial not in tasks:
            tasks.append(serial)
    return tasks


def _composites(value: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    if depth > _DEEPEST:
        raise InvalidParameter(f"a parameter is nested more than {_DEEPEST} deep (does it contain itself?)")
    if isinstance(value, Mapping):
        yield value
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _composites(item, depth + 1)


def _walk(value: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    if depth > _DEEPEST:
        raise InvalidParameter(f"a parameter is nested more than {_DEEPEST} deep (does it contain itself?)")
    if isinstance(value, Mapping):
        own = _own_reference(value)
        if own is not None:
            yield own
            beside = value.get("filenames")
            # In a type that nobody here knows it may be something else.
            for name in beside if isinstance(beside, list | tuple) else ():
                yield _beside(own, name)
        for item in value.values():
            yield from _walk(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _walk(item, depth + 1)


def _own_reference(value: Mapping[str, Any]) -> dict[str, Any] | None:
    source = value.get("source")
    if not isinstance(source, str):
        return None
    if source == USERDATA and isinstance(value.get("virtualpath"), str):
        keys = ("source", "virtualpath", "filename")
        return {key: value[key] for key in keys if value.get(key) is not None}
    key = SERIAL_KEYS.get(source)
    if key is None or value.get(key) is None or not isinstance(value.get("filename"), str):
        return None
    return {"source": source, key: value[key], "filename": value["filename"]}


def _beside(own: Mapping[str, Any], name: Any) -> dict[str, Any]:
    if not is_safe_filename(name):
        raise InvalidParameter(f"filenames: {name!r} is not a plain file name")
    if own["source"] == USERDATA:
        folder, _, last = str(own["virtualpath"]).rpartition("/")
        if last and last == own.get("filename", last):  # the path is that of the file itself
            return {**own, "virtualpath": f"{folder}/{name}" if folder else name, "filename": name}
    return {**own, "filename": name}
