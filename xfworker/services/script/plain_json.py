"""Values that scripts compute, as the plain JSON that records are made of."""

import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from xfworker.domain.conversion import format_time
from xfworker.domain.errors import InvalidParameter
from xfworker.domain.json_value import JsonWalk

_LONGEST_ARRAY = 100_000
_DEEPEST = 61
"""A record holds the value some levels deep."""
_NAIVE = (
    "a time without a time zone could be any of 24 hours; give one with its zone, such as "
    "value.replace(tzinfo=datetime.UTC) or, with pandas, value.tz_localize('UTC')"
)
_DURATION = (
    "a duration has no JSON form; give its seconds as a number, such as value.total_seconds() or "
    "value / numpy.timedelta64(1, 's')"
)
_NO_DAY = "a year or a month is not a day; give it as a string, such as str(value), or the day that is meant"
_COARSE = ("datetime64[Y]", "datetime64[M]")
"""What numpy makes the first day of."""
_NO_TIME = "not a time (NaT); give null (None) where there is no value"


def plain_json(value: Any, what: str) -> Any:
    """
    Give the value as plain JSON that shares nothing with it: scalars of numerical libraries become numbers; arrays,
    tensors, series and tuples lists; times with a zone RFC 3339 strings; dates ``YYYY-MM-DD``.

    Args:
        value: What a script wants to save.
        what: What it is, for messages: the path of the value begins with it.

    Raises:
        InvalidParameter: With every value that JSON cannot hold (``NaN``, an infinity, a time without a zone, a
            duration, bytes, a path, an image, a table) and its path.
    """
    walk = JsonWalk(deepest=_DEEPEST, unwrap=_unwrapped)
    plain = walk.plain(value, what)
    if walk.errors:
        raise InvalidParameter(f"cannot be saved as JSON: {'; '.join(walk.errors)}", walk.errors)
    return plain


def _unwrapped(value: Any) -> Any:
    if isinstance(value, datetime | date | time | timedelta):
        return _moment(value)
    if type(value).__name__ == "UUID":
        return str(value)
    # What libraries make is known by what it can do, so that none of them need be imported to save a string.
    if hasattr(value, "columns") and (hasattr(value, "to_dict") or hasattr(value, "to_pydict")):
        raise TypeError(
            f"a table ({type(value).__name__}) is not a JSON value; write it to a file, upload that, and give "
            "create_output_csv(filename), or give single columns"
        )
    if hasattr(value, "dtype") or any(hasattr(type(value), name) for name in ("__array__", "__dlpack__")):
        return _of_array(value)
    raise _unexpected(value)


def _moment(value: date | time | timedelta) -> str:
    # pandas' NaT is a datetime that differs from itself, as NaN does.
    if value != value:  # noqa: PLR0124
        raise TypeError(_NO_TIME)
    if isinstance(value, timedelta):
        raise TypeError(_DURATION)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if value.tzinfo is None:
        raise TypeError(_NAIVE)
    return format_time(value) if isinstance(value, datetime) else value.isoformat()


def _of_array(value: Any) -> Any:
    """Give the numbers of a scalar, array, tensor or series of whichever library."""
    if hasattr(value, "to_value") or hasattr(value, "magnitude"):
        unit = getattr(value, "unit", None) or getattr(value, "units", "some unit")
        raise TypeError(f"a quantity in {unit} would lose its unit; give its number in the unit of the output")
    count = _count(value)
    if count is not None and count > _LONGEST_ARRAY:
        raise TypeError(f"an array of {count} values is too long for a record; upload it as a file")
    try:
        plain = _listed(value)
    except TypeError:
        raise
    except Exception as error:
        raise TypeError(f"the numbers of {type(value).__name__} cannot be read: {error}") from error
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind in {"M", "m"}:
        _check_moments(plain, kind)
    if str(getattr(value, "dtype", "")) in _COARSE:
        raise TypeError(_NO_DAY)
    if kind == "V":
        raise TypeError("a structured array would lose the names of its fields; give a dict, or upload it as a file")
    if isinstance(plain, complex | bytes) or type(plain) is type(value):
        raise _unexpected(value)
    return plain


def _listed(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(type(value), "__array__") or hasattr(type(value), "__dlpack__"):
        import numpy as np

        taken = np.asarray(value) if hasattr(type(value), "__array__") else np.from_dlpack(value)
        if taken.dtype.kind == "O" and taken.ndim == 0:
            raise _unexpected(value)
        return taken  # walked into once more, as any array
    if hasattr(value, "item"):
        return value.item()
    raise _unexpected(value)


def _count(value: Any) -> int | None:
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple | list):
        return None
    return math.prod(int(extent) for extent in shape)


def _check_moments(plain: Any, kind: str) -> None:
    """Refuse times and durations that a library counts as integers, which no longer state their unit."""
    for item in _leaves(plain):
        if item is None:
            raise TypeError(_NO_TIME)
        if isinstance(item, int):
            raise TypeError(_NAIVE if kind == "M" else _DURATION)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _unexpected(value: Any) -> TypeError:
    return TypeError(f"expected a JSON value, got {type(value).__name__} {repr(value)[:60]}")
