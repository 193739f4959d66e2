"""Pages from templates; every value is escaped unless it was made to be HTML."""

import gzip
import json
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from attrs import define
from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Response
from markupsafe import Markup, escape

from xfworker import __version__
from xfworker.adapters.page.security import PAGE_HEADERS
from xfworker.adapters.page.session import AnyRequest, Visitor, visitor_of
from xfworker.adapters.page.strings import strings

HTML = "text/html"
_MESHES = (".stl", ".ply", ".obj", ".vtk", ".gii", ".mz3", ".off")
_COMPRESSED_FROM = 1024
_KIB = 1024
_TURNING = frozenset(map(chr, (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))))
"""What Unicode's bidirectional algorithm obeys (UAX 9, 2)."""
_MINUTE_FROM = 90


@define
class Templates:
    """The page's templates, compiled once each."""

    static_base: str
    _environment: Environment

    @classmethod
    def of_package(cls, static_base: str) -> "Templates":
        """
        Take the templates of this package.

        Args:
            static_base: The path below which the static files of this version are.
        """
        # A dictionary would give its own methods where a text is called "values" or "copy".
        texts = SimpleNamespace(**{name: SimpleNamespace(**section) for name, section in strings().items()})
        environment = Environment(
            loader=PackageLoader(__package__, "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.globals |= {"t": texts, "static": static_base, "version": __version__}
        environment.filters |= {
            "time": time_element,
            "bytes": formatted_bytes,
            "pretty": pretty_json,
            "duration": formatted_seconds,
            "is_mesh": is_mesh,
            "json": json.dumps,
            "visible": visible_text,
        }
        return cls(static_base, environment)

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        """Give a page, or a part of one, as HTML."""
        return self._environment.get_template(name).render(values)

    def answer(
        self,
        request: AnyRequest,
        template: str,
        /,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response[bytes]:
        """Answer with a page; ``visitor``, ``csrf`` and ``path`` are there for every template."""
        visitor: Visitor | None = visitor_of(request)
        shared = {
            "visitor": visitor,
            "csrf": visitor.csrf_token() if visitor else "",
            "path": request.url.path,
            "query": request.url.query,
        }
        return answer_text(request, self.render(template, {**shared, **values}), HTML, status=status, headers=headers)


def answer_text(
    request: AnyRequest, text: str, media_type: str, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response[bytes]:
    """Answer with a text under the page's security headers, compressed where the browser takes that."""
    body = text.encode("utf-8", "replace")
    fields = {**PAGE_HEADERS, **(headers or {})}
    if len(body) >= _COMPRESSED_FROM and accepts_gzip(request):
        body = gzip.compress(body, compresslevel=5, mtime=0)
        fields |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(content=body, status_code=status, media_type=media_type, headers=fields)


def answer_json(request: AnyRequest, value: Any, *, status: int = 200) -> Response[bytes]:
    """Answer a script of the page with JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return answer_text(request, text, "application/json", status=status)


def visible_text(text: str) -> str:
    """
    Give a file's name with characters that would show it as another one written out.

    What turns the direction of a text makes ``report<U+202E>gpj.exe`` look like a picture.
    """
    return "".join(
        f"<U+{ord(one):04X}>" if one in _TURNING or unicodedata.category(one) == "Cc" else one for one in text
    )


def is_mesh(name: str) -> bool:
    """Return whether a file is a mesh that the 3-D preview shows, by its name."""
    return name.lower().endswith(_MESHES)


def accepts_gzip(request: AnyRequest) -> bool:
    """Return whether the browser takes compressed answers."""
    return "gzip" in (request.headers.get("accept-encoding") or "")


def time_element(moment: datetime | None) -> Markup:
    """Give a time as an element that the page's script writes in the reader's own zone."""
    if moment is None:
        return Markup("")
    utc = moment.astimezone(UTC)
    iso, written = utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M UTC")
    return Markup('<time datetime="{}">{}</time>').format(iso, written)


def formatted_bytes(size: int) -> str:
    """Give a size as people read it, in units of 1024 bytes."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < _KIB:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= _KIB
    return f"{amount:.1f} TiB"


def formatted_seconds(seconds: float) -> str:
    """Give a duration as people read it."""
    if seconds < _MINUTE_FROM:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def pretty_json(value: Any) -> Markup:
    """Give a JSON value indented, escaped."""
    return escape(json.dumps(value, ensure_ascii=False, indent=2))
