"""
JSON Schemas (draft-07) of the files in packages.

``metadata.json`` follows the platform's public documentation, and keys that it does not name are let through. What the
documentation leaves open is this project's: ``kind``, ``limits`` and ``resources`` of a task type, and ``name`` and
``task_type`` of a workflow's task.
"""

from typing import Any

# Python's `$` also matches before a line feed at the end, which the look-ahead refuses.
_NAME = {"type": "string", "pattern": r"^[a-zA-Z0-9.]+$(?!\n)", "minLength": 1, "maxLength": 50}
_VERSION = {"type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$(?!\n)", "maxLength": 50}
_REFERENCE = {
    "type": "object",
    "properties": {"name": _NAME, "version": _VERSION},
    "required": ["name", "version"],
    "additionalProperties": False,
}
_COMMON = {
    "package_format": {"enum": ["XFP-DEP1.0", "XFP-TT1.0", "XFP-WF1.0"]},
    "name": _NAME,
    "version": _VERSION,
    "display_name": {"type": "string", "pattern": r"^[^\r\n]+$(?!\n)", "maxLength": 50},
    "summary": {"type": "string", "pattern": r"^[^\r\n]*$(?!\n)"},
    "description_filename": {"type": "string", "minLength": 1},
    "citation_cff_filename": {"type": "string", "minLength": 1},
    "remarks": {"type": "string"},
    "author": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "email": {"type": "string"}, "website": {"type": "string"}},
        "additionalProperties": False,
    },
}
_OF_FORMAT: dict[str, dict[str, Any]] = {
    "XFP-DEP1.0": {
        "install": {"type": "string", "minLength": 1},
        "dependencies": {"type": "array", "items": _REFERENCE},
        "parameter_types": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string", "minLength": 1}, "$ref": {"type": "string", "minLength": 1}},
                "required": ["name", "$ref"],
            },
        },
    },
    "XFP-TT1.0": {
        "dependencies": {"type": "array", "items": _REFERENCE},
        "kind": {"enum": ["Processing", "Interactive", "Source"]},
        "limits": {
            "type": "object",
            "properties": {
                "time_seconds": {"type": "number", "exclusiveMinimum": 0},
                "memory_mib": {"type": "number", "exclusiveMinimum": 0},
            },
            "additionalProperties": False,
        },
        "resources": {
            "type": "object",
            "properties": {
                "cores": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
                "memory_mib": {"type": "number", "exclusiveMinimum": 0},
                "gpus": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
                "scratch": {"enum": ["local", "shared"]},
                "time_seconds": {"type": "number", "exclusiveMinimum": 0},
            },
            "additionalProperties": False,
        },
    },
    "XFP-WF1.0": {},
}

_KEY = {"type": "string", "minLength": 1}
_TYPE = {"type": "string", "minLength": 1}
_INPUT = {
    "type": "object",
    "properties": {
        "key": _KEY,
        "type": _TYPE,
        "supported_modes": {
            "type": "array",
            "items": {"enum": ["none", "output", "fixed", "define_on_first", "ui"]},
            "uniqueItems": True,
        },
        "default": {"type": ["string", "number", "boolean", "null"]},
        "minimum": {"type": "number"},
        "maximum": {"type": "number"},
        "multipleOf": {"type": "number", "exclusiveMinimum": 0},
        "enum": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        "format": {"enum": ["multiline", "commonmark", "date-time"]},
        "description": {"type": "string"},
    },
    "required": ["key", "type"],
}
_OUTPUT = {
    "type": "object",
    "properties": {**_INPUT["properties"], "supported_modes": True},  # type: ignore[dict-item]  # a literal of objects
    "required": ["key", "type"],
}

_FIELDS = {"inputs": {"type": "array", "items": _INPUT}, "outputs": {"type": "array", "items": _OUTPUT}}

INTERFACE: dict[str, Any] = {
    "type": "object",
    "properties": _FIELDS,
    "required": ["inputs", "outputs"],
}
"""``interface.json``."""

INTERFACE_OF_RECORD: dict[str, Any] = {"type": "object", "properties": _FIELDS}
"""The interface of a task type's record, which need not come from a package."""

INTERFACE_FIELD: dict[str, Any] = {
    "type": "object",
    "properties": {"key": _KEY, "type": _TYPE, "supported_modes": {"type": "array", "items": {"type": "string"}}},
    "required": ["key", "type"],
}
"""What scheduling needs of an input or output; older records may hold the rest in any shape."""

DEPENDENCIES: dict[str, Any] = {
    "type": "array",
    "items": {**_REFERENCE, "properties": {"name": _NAME, "version": {**_VERSION, "type": ["string", "null"]}}},
}
"""The dependency packages that a record lists, as ``{name, version}``; without a version any will do."""
DEPENDENCIES["items"]["required"] = ["name"]

PARAMETER_TYPES: dict[str, Any] = _OF_FORMAT["XFP-DEP1.0"]["parameter_types"]
"""The parameter types that a dependency package declares."""

INSTALLED_PACKAGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "archive": {"type": "string", "minLength": 1, "maxLength": 200},
        "sha256": {"type": "string", "pattern": r"^[0-9a-f]{64}$(?!\n)"},
        "complete": {"type": "boolean"},
        "metadata": {"type": "object"},
        "script": {"type": ["string", "null"]},
    },
    "required": ["archive", "sha256", "complete"],
    "additionalProperties": False,
}
"""What a record says of the package that it was installed from."""

_SOURCES: dict[str, dict[str, Any]] = {
    "none": {},
    "fixed": {"fixed_value": {"type": ["integer", "number", "string", "boolean"]}},
    "output": {"task": {"type": "integer", "minimum": 0}, "key": _KEY},
    "define_on_first": {"template": {"type": "null"}},
    "ui": {},
}


def _source(mode: str) -> dict[str, Any]:
    fields = _SOURCES[mode]
    return {
        "properties": {"mode": {"const": mode}, **fields},
        "required": ["mode", *fields],
        "additionalProperties": False,
    }


SOURCES: dict[str, dict[str, Any]] = {mode: _source(mode) for mode in _SOURCES}
"""Where a workflow's task takes an input from, by mode: exactly these keys and no others."""

TASKS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tasks": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "pattern": r"^[^\r\n]+$(?!\n)", "maxLength": 200},
                    "task_type": _REFERENCE,
                    "inputs": {
                        "type": "object",
                        "additionalProperties": {
                            "type": "object",
                            "properties": {"mode": {"enum": list(_SOURCES)}},
                            "required": ["mode"],
                        },
                    },
                },
                "required": ["task_type", "inputs"],
            },
        }
    },
    "required": ["tasks"],
}
"""``tasks.json``; each source is then checked against :data:`SOURCES`, so that messages are about its own mode."""


def metadata_schema(package_format: str | None) -> dict[str, Any]:
    """Give the schema of ``metadata.json`` for a format, or what all formats have in common."""
    return {
        "type": "object",
        "properties": {**_COMMON, **_OF_FORMAT.get(package_format or "", {})},
        "required": ["package_format", "name", "version"],
    }
