"""Sort orders: texts that sort bytewise, with room between any two."""

from fractional_indexing import FIError, generate_key_between  # type: ignore[import-untyped]  # ships no types

_ROOM = "V"


def sort_order_after(last: str | None) -> str:
    """
    Give a sort order behind all others.

    Args:
        last: The greatest one there is, or ``None`` where there is none. One that was made by other rules is allowed:
            what starts with it and goes on sorts behind it.
    """
    try:
        following: str = generate_key_between(last or None, None)
    except FIError:
        return f"{last}{_ROOM}"
    return following
