"""What a genuine platform calls the fields of records, where that differs from here."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field

from xfworker.domain.conversion import field_names, from_json, to_json
from xfworker.domain.errors import ConfigurationError, InvalidRecord, ServerFault
from xfworker.domain.files import SERIAL_KEYS
from xfworker.domain.record import Record
from xfworker.domain.records import RECORD_KINDS

RecordT = TypeVar("RecordT", bound=Record)

FILE_REFERENCES = "file-references"
"""The table for the keys of file references: ``source``, ``filename``, ``virtualpath``, ``job_serial`` and so on."""

_REFERENCE_KEYS = frozenset({"type", "source", "filename", "virtualpath", *SERIAL_KEYS.values()})


@define(frozen=True)
class Keys:
    """
    The names of one kind of object.

    Attributes:
        names: For each key of ours the genuine platform's.
        values: For a key of ours, what its values are called there: ``{"state": {"Done": "finished"}}``.
    """

    names: Mapping[str, str] = field(factory=dict)
    values: Mapping[str, Mapping[str, Any]] = field(factory=dict)

    def theirs(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Give an object of ours in their keys and values."""
        return {
            self.names.get(key, key): self.values[key].get(value, value)
            if key in self.values and isinstance(value, str)
            else value
            for key, value in own.items()
        }

    def ours(self, their: Mapping[str, Any]) -> dict[str, Any]:
        """Give an object of theirs in our keys and values; keys that nobody maps stay as they are."""
        names = {name: key for key, name in self.names.items()}
        result = {}
        for name, value in their.items():
            key = names.get(name, name)
            values = {str(there): here for here, there in self.values.get(key, {}).items()}
            result[key] = values.get(str(value), value) if values else value
        return result


@define(frozen=True)
class KeyMap:
    """
    The names of all kinds of records and of file references; a kind that is not there has the names of this package.

    Attributes:
        kinds: By collection (``jobs``, ``task-types``) and :data:`FILE_REFERENCES`.
    """

    kinds: Mapping[str, Keys] = field(factory=dict)

    def keys(self, kind: str) -> Keys:
        """Give the names of a kind of object."""
        return self.kinds.get(kind, Keys())

    def record(self, kind: type[RecordT], their: Any) -> RecordT:
        """
        Read a record as a documented call gave it.

        Raises:
            ServerFault: It does not fit, and a key map has to say what its keys are called.
        """
        if not isinstance(their, Mapping):
            raise ServerFault(f"The genuine xfworkerutil gave {_kind_of(their)} where a {kind.noun} was expected.")
        known = field_names(kind)
        fields = {key: value for key, value in self.keys(kind.collection).ours(their).items() if key != "extra"}
        # What may be absent there, such as a name, has a default here; null says the same as absent.
        fields = {key: value for key, value in fields.items() if value is not None or key not in known}
        try:
            return from_json(kind, fields)
        except InvalidRecord as error:
            raise ServerFault(
                f"A {kind.noun} of the genuine platform does not fit ({'; '.join(error.faults)}). Its keys are "
                f"{', '.join(sorted(map(str, their)))}; say in the table [{kind.collection}] of the key map "
                "(server.options.key_map) what they are called."
            ) from None

    def json(self, record: Record) -> dict[str, Any]:
        """Give a record in their keys."""
        return self.keys(record.collection).theirs(to_json(record))

    def reference(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Give a file reference in their keys."""
        return self.keys(FILE_REFERENCES).theirs(own)


def read_key_map(path: Path) -> KeyMap:
    """
    Read a key map from a TOML file.

    Raises:
        ConfigurationError: It cannot be read, or names a kind or a field that there is not; the message says which
            there are.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the key map {path} cannot be read: {error}") from None
    return KeyMap({kind: _keys(path, kind, table) for kind, table in tables.items()})


def _keys(path: Path, kind: str, table: Any) -> Keys:
    known = _known_keys(path, kind)
    if not isinstance(table, dict):
        raise ConfigurationError(f"the key map {path}: {kind} is not a table")
    values = table.get("values", {})
    names = {key: name for key, name in table.items() if key != "values"}
    for key, name in names.items():
        if key not in known:
            raise ConfigurationError(
                f"the key map {path}: {kind} has no field {key!r}; its fields are {', '.join(sorted(known))}"
            )
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"the key map {path}: {kind}.{key} must be the name of a key, not {name!r:.80}")
    if len(set(names.values())) != len(names):
        raise ConfigurationError(f"the key map {path}: two fields of {kind} have one name")
    for key, mapping in values.items() if isinstance(values, dict) else [("values", values)]:
        if key not in known or not isinstance(mapping, dict):
            raise ConfigurationError(
                f"the key map {path}: {kind}.values.{key} must be a table of values of a field of {kind}"
            )
    return Keys(names, values)


def _known_keys(path: Path, kind: str) -> frozenset[str]:
    if kind == FILE_REFERENCES:
        return _REFERENCE_KEYS
    if kind not in RECORD_KINDS:
        raise ConfigurationError(
            f"the key map {path}: {kind!r} is not a kind of record; kinds are "
            f"{', '.join([*RECORD_KINDS, FILE_REFERENCES])}"
        )
    return field_names(RECORD_KINDS[kind])


def _kind_of(value: Any) -> str:
    return "nothing" if value is None else f"an object of class {type(value).__name__}"
