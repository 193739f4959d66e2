"""Moments in header fields (RFC 9110, section 5.6.7), as anybody may have written them."""

from datetime import datetime
from email.utils import parsedate_to_datetime


def read_http_date(value: str | None) -> datetime | None:
    """Give the moment, or ``None`` where the field holds none, or does not say in which time zone."""
    try:
        moment = parsedate_to_datetime(value) if value else None
    except (ValueError, OverflowError):
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
