"""CSV files as tables: read to a limit, with whether each column holds numbers."""

import csv
import io
import itertools
from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.rendering import answer_json
from xfworker.adapters.page.routes.files import open_file
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.domain.errors import FileError
from xfworker.domain.files import parse_resource, require_file

_MOST_BYTES = 8 << 20
_MOST_ROWS = 5000
_MOST_COLUMNS = 200
_SNIFFED = 8192


def table_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of tables."""

    @get("/tables/{name:path}")
    async def table(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
        resource = require_file(parse_resource(name.lstrip("/")))

        def read() -> dict[str, Any]:
            stat, opened = open_file(parts, request, resource)
            try:
                blocks = opened.blocks(offset=0, length=min(stat.size, _MOST_BYTES))
                return table_document(b"".join(blocks), is_whole=stat.size <= _MOST_BYTES)
            finally:
                opened.close()

        return answer_json(request, await in_thread(read))

    return [table]


def table_document(content: bytes, *, is_whole: bool = True) -> dict[str, Any]:
    """
    Read a CSV file as rows of strings.

    Args:
        content: The file, or its beginning.
        is_whole: Whether that is all of it; else its last, broken line is left out.

    Raises:
        FileError: It is not a CSV file.
    """
    text = _decoded(content)
    if not is_whole:
        text = text[: text.rfind("\n") + 1]
    try:
        reader = csv.reader(io.StringIO(text, newline=""), _dialect(text))
        columns = [name[:200] for name in next(reader, [])][:_MOST_COLUMNS]
        rows = [_fitted(row, len(columns)) for row in itertools.islice((row for row in reader if row), _MOST_ROWS)]
        more = sum(1 for row in reader if row)
    except csv.Error as error:
        raise FileError(f"this is not a CSV file: {error}") from None
    numeric = [bool(rows) and all(_is_number(row[index]) for row in rows) for index in range(len(columns))]
    return {"columns": columns, "rows": rows, "numeric": numeric, "total": len(rows) + more}


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # as spreadsheets of Windows write it; every byte is a character


def _dialect(text: str) -> "type[csv.Dialect] | str":
    try:
        return csv.Sniffer().sniff(text[:_SNIFFED], delimiters=",;\t")
    except csv.Error:
        return "excel"


def _fitted(row: list[str], count: int) -> list[str]:
    return (row + [""] * count)[:count]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return not text.strip()
    return True
