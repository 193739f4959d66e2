"""Parameters and versions: functions that ask no server."""

from typing import Any, Dict, List, Tuple

from xfworker.domain import parameters
from xfworker.domain import version as versions
from xfworker.domain.errors import UsageError


def create_parameter(type_name: str, **kwargs: Any) -> Dict[str, Any]:
    """
    Make a composite parameter: ``type`` and the given fields, without those that are ``None``.

    Args:
        type_name: The type, such as ``Image``; any name is allowed.
        **kwargs: The parameter's fields.

    Raises:
        InvalidParameter: The type has no name.
    """
    return parameters.create_parameter(type_name, **kwargs)


def get_parameter_file_references(parameter: Dict[str, Any], *, only_additional: bool = False) -> List[Dict[str, Any]]:
    """
    List the references to all files of a parameter of any type, known or not: its main file first, each once.

    Args:
        parameter: The parameter; a number, a string or ``None`` has no files.
        only_additional: Leave the main file out.

    Returns:
        Objects ``{source, <serial key> or virtualpath, filename}``.
    """
    return parameters.file_references(parameter, only_additional=only_additional)


def parse_version(version: str) -> Tuple[int, ...]:
    """
    Read ``"1.10.7.0"`` as ``(1, 10, 7, 0)``, which compares as versions do.

    Raises:
        InvalidParameter: The string is not integers with dots between.
    """
    return versions.parse_version(version)


def format_version(version: Tuple[int, ...]) -> str:
    """
    Write ``(1, 10, 7, 0)`` as ``"1.10.7.0"``.

    Raises:
        InvalidParameter: It is empty, or a part is not an integer of at least 0.
    """
    if isinstance(version, str) or not isinstance(version, list | tuple):
        raise UsageError(f"format_version takes a tuple of integers, not {version!r:.80}")
    return versions.format_version(version)
