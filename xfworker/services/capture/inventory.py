"""What people are shown of a capture: the names that its files had, and its calls."""

from collections.abc import Iterator, Sequence
from typing import Any

from xfworker.domain.filenames import is_safe_filename
from xfworker.services.capture.calls import RecordedCall, named_paths


def file_names(calls: Sequence[RecordedCall]) -> dict[str, str]:
    """Give the first name under which each content appears in the calls; unsafe names are left out."""
    names: dict[str, str] = {}
    for call in calls:
        for value in (dict(call.args), call.result, None if call.after is None else dict(call.after), list(call.wrote)):
            for key, name in _named(value):
                names.setdefault(key, name)
    return names


def left_out(calls: Sequence[RecordedCall]) -> dict[str, str]:
    """Give the names of files whose content was left out, with the reasons."""
    found: dict[str, str] = {}
    for call in calls:
        for value in (dict(call.args), call.result):
            for path in named_paths(value):
                file = path.get("file")
                if isinstance(file, dict) and file.get("omitted"):
                    found.setdefault(str(path.get("name")), f"{file['omitted']} ({file.get('size')} bytes)")
    return found


def _named(value: Any) -> Iterator[tuple[str, str]]:
    for path in named_paths(value):
        file, name = path.get("file"), str(path.get("name"))
        if isinstance(file, dict) and isinstance(file.get("sha256"), str) and is_safe_filename(name):
            yield file["sha256"], name
