"""Byte ranges and the conditions on them (RFC 9110, sections 13 and 14), as far as one range goes."""

import re
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus

from attrs import define

from xfworker.adapters.wire.http_date import read_http_date

_ONE_RANGE = re.compile(r"bytes=\s*(\d{0,19})-(\d{0,19})\s*")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


class UnsatisfiableRange(ValueError):
    """The range begins behind the end of the file."""


def write_range(start: int, end: int | None = None) -> str:
    """Write the ``Range`` from ``start`` to ``end`` (exclusive), or to the end of the file."""
    return f"bytes={start}-{'' if end is None else end - 1}"


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """
    Give start and end (exclusive) of the range, or ``None`` where the whole file is to be sent.

    What is malformed, in another unit, or several ranges at once is passed over, as the standard allows.

    Raises:
        UnsatisfiableRange: No byte of the file is in the range.
    """
    match = _ONE_RANGE.fullmatch(header) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise UnsatisfiableRange
    return start, end


def parse_content_range(header: str | None) -> tuple[int, int, int] | None:
    """Give start, end (exclusive) and the size of the file, or ``None`` where the field does not say."""
    match = _CONTENT_RANGE.fullmatch((header or "").strip())
    return None if match is None else (int(match[1]), int(match[2]) + 1, int(match[3]))


@define(frozen=True)
class RangeAnswer:
    """
    Which bytes of a file are the answer to a request.

    Attributes:
        status: 200, 206 or 416.
        start: The first byte.
        end: The byte behind the last.
        headers: ``Content-Length`` and ``Content-Range``, where they apply.
    """

    status: HTTPStatus
    start: int
    end: int
    headers: dict[str, str]


def answer_range(
    request: Mapping[str, str], *, size: int, etag: str, modified_at: datetime | None = None
) -> RangeAnswer:
    """
    Decide which bytes to answer.

    Args:
        request: The request's header fields, by lower-case name.
        size: Of the file.
        etag: Of the file, quoted.
        modified_at: When the file changed last.
    """
    applies = _range_applies(request.get("if-range"), etag, modified_at)
    try:
        part = parse_range(request.get("range"), size) if applies else None
    except UnsatisfiableRange:
        status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        return RangeAnswer(status, 0, 0, {"Content-Range": f"bytes */{size}"})
    start, end = part or (0, size)
    headers = {"Content-Length": str(end - start)}
    if part is None:
        return RangeAnswer(HTTPStatus.OK, start, end, headers)
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return RangeAnswer(HTTPStatus.PARTIAL_CONTENT, start, end, headers)


def is_unmodified(if_none_match: str | None, etag: str) -> bool:
    """Whether the caller has the content already; ``etag`` is quoted."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag in tags


def _range_applies(condition: str | None, etag: str, modified_at: datetime | None) -> bool:
    if condition is None:
        return True
    if condition.startswith('"'):
        return condition.strip() == etag
    return modified_at is not None and modified_at.replace(microsecond=0) == read_http_date(condition)
