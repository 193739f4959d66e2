"""
Sort orders: strings that sort bytewise, with room between any two.

They are made by fractional indexing (the ``fractional-indexing`` package). Texts that were made by other rules are
allowed as bounds.
"""

from collections.abc import Iterable

from fractional_indexing import FIError, generate_key_between  # type: ignore[import-untyped]  # ships no types

from xfworker.domain.errors import InvalidParameter

_ROOM = "V"
_LOWEST = "0"
_MOST = 1_000_000


def sort_order_after(last: str | None) -> str:
    """
    Give a sort order behind all others.

    Args:
        last: The greatest one there is, or ``None`` where there is none. One that was made by other rules is allowed:
            what starts with it and goes on sorts behind it.
    """
    return sort_order_between(last, None)


def sort_order_between(before: str | None, after: str | None) -> str:
    """
    Give a sort order between two.

    Args:
        before: The one that comes before; ``None`` or an empty string where there is none.
        after: The one that comes after; ``None`` or an empty string where there is none.

    Raises:
        InvalidParameter: They are not in order, or no string lies between them.
    """
    low, high = _check(before, after)
    try:
        between: str = generate_key_between(low or None, high or None)
    except (FIError, ValueError, IndexError):
        # One of them follows other rules.
        return _between_any(low, high)
    return between if low < between and (not high or between < high) else _between_any(low, high)


def _check(before: str | None, after: str | None) -> tuple[str, str]:
    low, high = ("" if bound is None else bound for bound in (before, after))
    if not isinstance(low, str) or not isinstance(high, str):
        raise InvalidParameter(f"sort orders are strings, not {before!r:.80} and {after!r:.80}")
    if high and low >= high:
        raise InvalidParameter(
            f"no sort order lies between {low!r:.80} and {high!r:.80}: the first must sort before the second"
        )
    return low, high


def sort_orders_between(before: str | None, after: str | None, count: int) -> list[str]:
    """
    Give several sort orders between two, in order.

    They are spread by halving, so that they grow with the logarithm of the count only.

    Raises:
        InvalidParameter: The bounds are not in order, no string lies between them, or the count is negative.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= _MOST:
        raise InvalidParameter(f"a count of sort orders is an integer from 0 to {_MOST}, not {count!r:.80}")
    _check(before, after)
    if not after:
        return _following(before, count)
    orders = [""] * count
    pending = [(0, count, before, after)]
    while pending:
        start, stop, low, high = pending.pop()
        if start < stop:
            middle = (start + stop) // 2
            orders[middle] = between = sort_order_between(low, high)
            pending += [(start, middle, low, between), (middle + 1, stop, between, high)]
    return orders


def greatest(sort_orders: Iterable[str | None]) -> str | None:
    """Give the greatest of some sort orders, or ``None`` where there is none."""
    return max((item for item in sort_orders if item), default=None)


def _following(before: str | None, count: int) -> list[str]:
    orders = []
    for _ in range(count):
        before = sort_order_between(before, None)
        orders.append(before)
    return orders


def _between_any(low: str, high: str) -> str:
    candidate = low + _ROOM
    if not high or candidate < high:
        return candidate
    # ``high`` begins with ``low``: what lies between begins like ``high`` and turns lower.
    rest = high[len(low) :]
    zeros = len(rest) - len(rest.lstrip(_LOWEST))
    candidate = low + _LOWEST * (zeros + 1) + _ROOM
    if low < candidate < high:
        return candidate
    raise InvalidParameter(f"no sort order lies between {low!r:.80} and {high!r:.80}")
