"""
Sort orders of jobs: strings that sort bytewise, with room between any two.

The vendor's module of this name is not public; its functions are this project's choice.
"""

from collections.abc import Iterable

from xfworker.domain import sort_order
from xfworker.domain.errors import InvalidParameter

__all__ = ["after", "before", "between", "between_many", "following"]


def between(before: str | None, after: str | None) -> str:
    """
    Give a sort order between two.

    Args:
        before: The one that comes before, or ``None`` for the very first.
        after: The one that comes after, or ``None`` for the very last.

    Raises:
        InvalidParameter: They are not in order, or no string lies between them.
    """
    return sort_order.sort_order_between(before, after)


def between_many(before: str | None, after: str | None, count: int) -> list[str]:
    """
    Give ``count`` sort orders between two, in order.

    Raises:
        InvalidParameter: The bounds are not in order, no string lies between them, or the count is negative.
    """
    return sort_order.sort_orders_between(before, after, count)


def after(existing: Iterable[str]) -> str:
    """
    Give a sort order behind all existing ones, such as those of ``worker.get_existing_job_sort_orders``.

    Raises:
        InvalidParameter: The existing ones are not strings.
    """
    return sort_order.sort_order_between(sort_order.greatest(_checked(existing)), None)


def before(existing: Iterable[str]) -> str:
    """
    Give a sort order before all existing ones.

    Raises:
        InvalidParameter: The existing ones are not strings, or none lies before them.
    """
    return sort_order.sort_order_between(None, min((item for item in _checked(existing) if item), default=None))


def following(existing: Iterable[str], count: int) -> list[str]:
    """
    Give ``count`` sort orders behind all existing ones, in order.

    Raises:
        InvalidParameter: The count is negative, or the existing ones are not strings.
    """
    return sort_order.sort_orders_between(sort_order.greatest(_checked(existing)), None, count)


def _checked(existing: Iterable[str | None]) -> list[str | None]:
    # A single string would pass as the list of its characters.
    items = None if isinstance(existing, str) or not isinstance(existing, Iterable) else list(existing)
    if items is None or not all(item is None or isinstance(item, str) for item in items):
        raise InvalidParameter(f"existing sort orders are a list of strings, not {existing!r:.80}")
    return items
