"""
Which recorded call answers a call of a script that is played back.

Values are compared in their encoded forms. What is fresh in every run matches by kind: local paths, images and other
objects, secrets, arrays, UUIDs and moments of time. How many of these were not the very same decides between calls that
match.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field

from xfworker.services.capture.calls import RecordedCall, described

_UUID = re.compile(r"\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?", re.IGNORECASE)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
_RELATIVE = 1e-9
_STRICT_OWNERS = frozenset({"Image", "Calibration"})
"""Classes whose answers are about one object only; another object's answer would be a wrong one."""


def differences(recorded: Any, actual: Any) -> int | None:
    """
    Say how two values are alike.

    Returns:
        0 where they are the same, the number of parts that match by kind only, or ``None`` where they do not match.
    """
    if isinstance(recorded, dict) and recorded.get("$") == "omitted":
        return 1
    secrets = [isinstance(value, dict) and value.get("$") == "secret" for value in (recorded, actual)]
    if any(secrets):
        # What was given as a secret may have been recorded as what it is where it is not one by itself.
        other = actual if secrets[0] else recorded
        return int(not all(secrets)) if all(secrets) or isinstance(other, str | int | float) else None
    if isinstance(recorded, dict) and isinstance(actual, dict):
        return _objects(recorded, actual)
    left, right = _items(recorded), _items(actual)
    if left is not None and right is not None:
        return _arrays(left, right)
    if isinstance(recorded, bool) or isinstance(actual, bool):
        return 0 if recorded is actual else None
    if isinstance(recorded, int | float) and isinstance(actual, int | float):
        return _numbers(recorded, actual)
    if isinstance(recorded, str) and isinstance(actual, str):
        if recorded == actual:
            return 0
        return 1 if is_fresh(recorded) and _kind(recorded) == _kind(actual) else None
    return 0 if recorded is None and actual is None else None


def is_fresh(text: str) -> bool:
    """Return whether a string is of the kinds that are new in every run: UUIDs, and moments of time."""
    return _kind(text) is not None


@define
class Matcher:
    """
    Finds recorded calls.

    A call that was recorded several times is answered in that order, each answer as often as it was given in a row;
    when all were given, the last is given again.

    Attributes:
        calls: The recorded calls.
    """

    calls: Sequence[RecordedCall]
    _by_name: dict[str, list[RecordedCall]] = field(factory=dict, init=False)
    _used: Counter[int] = field(factory=Counter, init=False)

    def __attrs_post_init__(self) -> None:
        for call in self.calls:
            self._by_name.setdefault(call.name, []).append(call)

    def find(self, name: str, args: Mapping[str, Any], owner: int | None = None) -> RecordedCall | None:
        """Give the recorded call that answers a call, and count it as used; ``None`` where there is none."""
        best: RecordedCall | None = None
        best_rank: tuple[int, int, int] | None = None
        strict = name.partition(".")[0] in _STRICT_OWNERS
        for call in self._by_name.get(name, ()):
            if strict and owner is not None and call.owner is not None and call.owner != owner:
                continue
            off = differences(dict(call.args), dict(args))
            if off is None:
                continue
            if owner is not None and call.owner is not None and call.owner != owner:
                off += 1
            is_used = self._used[call.number] >= call.times
            # Of answers that were given already the last one counts: it is what the server would say now.
            rank = (off, int(is_used), -call.number if is_used else call.number)
            if best_rank is None or rank < best_rank:
                best, best_rank = call, rank
        if best is not None:
            self._used[best.number] += 1
        return best

    def named(self, name: str) -> Sequence[RecordedCall]:
        """Give all recorded calls of a name."""
        return self._by_name.get(name, ())

    @property
    def unused(self) -> list[RecordedCall]:
        """The recorded calls that nobody asked for."""
        return [call for call in self.calls if not self._used[call.number]]

    def nearest(self, name: str, args: Mapping[str, Any], most: int = 3) -> list[str]:
        """Describe the recorded calls that are most like a call: of its name, with the most arguments alike."""
        candidates = list(self._by_name.get(name, ()))
        if not candidates:
            last = name.rpartition(".")[2]
            candidates = [call for call in self.calls if _common(call.function, last) >= len(last) // 2]
        candidates.sort(key=lambda call: (-_shared(call.args, args), -_common(call.name, name), call.number))
        return list(dict.fromkeys(described(call.name, call.args) for call in candidates))[:most]


def substituted(result: Any, recorded: Mapping[str, Any], actual: Mapping[str, Any]) -> Any:
    """
    Give a recorded result as it is for a call that was not quite the same.

    Strings that differ between the arguments (a fresh UUID, a moment, the name of a file) are replaced where the result
    repeats them.
    """
    pairs: dict[str, str] = {}
    _collect(dict(recorded), dict(actual), pairs)
    return _replaced(result, pairs) if pairs else result


def as_template(result: Any, recorded: Mapping[str, Any], actual: Mapping[str, Any]) -> Any:
    """
    Make a result for arguments that were never given, from the result of other arguments.

    Where the recorded result repeats an argument, whatever that is, the actual one takes its place.
    """
    pairs = [(recorded[key], actual[key]) for key in actual if key in recorded and recorded[key] != actual[key]]
    return _with_values(result, [(old, new) for old, new in pairs if not _is_trivial(old)])


def _objects(recorded: Mapping[str, Any], actual: Mapping[str, Any]) -> int | None:
    kind = recorded.get("$")
    if kind != actual.get("$"):
        return None
    if kind is None:
        if recorded.keys() != actual.keys():
            return None
        return _sum(differences(recorded[key], actual[key]) for key in recorded)
    if kind == "path":
        return int((recorded.get("name"), recorded.get("folder")) != (actual.get("name"), actual.get("folder")))
    if kind == "object":
        same_class = recorded.get("class") == actual.get("class")
        return int(recorded.get("id") != actual.get("id")) + int(not same_class)
    if kind == "array":
        return 0 if recorded == actual else 1
    if kind in ("iterator", "exception"):
        return 0
    if kind == "uuid":
        return int(recorded.get("value") != actual.get("value"))
    if kind in ("datetime", "date", "time"):
        return int(recorded.get("value") != actual.get("value"))
    if kind == "enum":
        return 0 if recorded.get("name") == actual.get("name") else None
    left = {key: value for key, value in recorded.items() if key != "class"}
    right = {key: value for key, value in actual.items() if key != "class"}
    if left.keys() != right.keys():
        return None
    return _sum(differences(left[key], right[key]) for key in left)


def _items(value: Any) -> list[Any] | None:
    """Give the items of a list or tuple; both are the same to a call."""
    if isinstance(value, dict) and value.get("$") in ("tuple", "list"):
        value = value.get("items")
    return value if isinstance(value, list) else None


def _arrays(recorded: list[Any], actual: list[Any]) -> int | None:
    if len(recorded) != len(actual):
        return None
    return _sum(differences(left, right) for left, right in zip(recorded, actual, strict=True))


def _numbers(recorded: float, actual: float) -> int | None:
    if recorded == actual:
        return 0
    try:
        close = math.isclose(recorded, actual, rel_tol=_RELATIVE, abs_tol=0.0)
    except OverflowError:
        return None
    return 1 if close and not (isinstance(recorded, int) and isinstance(actual, int)) else None


def _sum(parts: Iterable[int | None]) -> int | None:
    total = 0
    for part in parts:
        if part is None:
            return None
        total += part
    return total


def _kind(text: str) -> str | None:
    if _UUID.fullmatch(text):
        return "uuid"
    return "moment" if _MOMENT.fullmatch(text) else None


def _common(left: str, right: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def _shared(recorded: Mapping[str, Any], actual: Mapping[str, Any]) -> int:
    return sum(differences(recorded[key], actual[key]) is not None for key in actual if key in recorded)


def _collect(recorded: Any, actual: Any, pairs: dict[str, str]) -> None:
    if isinstance(recorded, str) and isinstance(actual, str):
        if recorded != actual and len(recorded) > 1:
            pairs.setdefault(recorded, actual)
    elif isinstance(recorded, dict) and isinstance(actual, dict):
        for key in recorded.keys() & actual.keys():
            if key not in ("$", "class", "sha256"):
                _collect(recorded[key], actual[key], pairs)
    else:
        left, right = _items(recorded), _items(actual)
        if left is not None and right is not None:
            for one, other in zip(left, right, strict=False):
                _collect(one, other, pairs)


def _replaced(value: Any, pairs: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return pairs.get(value, value)
    if isinstance(value, dict):
        kept = ("$", "class", "sha256")
        return {key: item if key in kept else _replaced(item, pairs) for key, item in value.items()}
    return [_replaced(item, pairs) for item in value] if isinstance(value, list) else value


def _is_trivial(value: Any) -> bool:
    return value in (None, 0, 1, "", [], {})  # True and False are 1 and 0


def _with_values(result: Any, pairs: Sequence[tuple[Any, Any]]) -> Any:
    for old, new in pairs:
        if type(result) is type(old) and result == old:
            return new
    if isinstance(result, dict):
        return {key: _with_values(item, pairs) for key, item in result.items()}
    return [_with_values(item, pairs) for item in result] if isinstance(result, list) else result
