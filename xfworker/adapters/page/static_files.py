"""The page's own scripts, styles and pictures, below an address that changes with their content."""

import gzip
import hashlib
import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from attrs import define, field
from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from xfworker.adapters.page.rendering import accepts_gzip
from xfworker.adapters.page.security import STATIC_HEADERS
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.adapters.page.strings import strings

_MEDIA_TYPES = {
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "json": "application/json",
    "wasm": "application/wasm",
    "txt": "text/plain",
    "md": "text/plain",
}
_VERSION_LENGTH = 12


@define
class StaticFiles:
    """The static files by name, read once; compressed when they are first asked for."""

    contents: dict[str, bytes]
    version: str
    _compressed: dict[str, bytes] = field(factory=dict)

    @classmethod
    def of_package(cls) -> "StaticFiles":
        """Take the files of this package, and the texts for scripts as a module ``strings.js``."""
        contents = dict(_files(files(__package__).joinpath("static"), ""))
        texts = json.dumps(strings()["script"], ensure_ascii=False, indent=1)
        contents["strings.js"] = f"export default {texts};\n".encode()
        digest = hashlib.sha256()
        for name in sorted(contents):
            digest.update(name.encode() + b"\0" + contents[name] + b"\0")
        return cls(contents, digest.hexdigest()[:_VERSION_LENGTH])

    @property
    def base(self) -> str:
        """The path below which these files are."""
        return f"/static/{self.version}"

    def compressed(self, name: str) -> bytes:
        """Give a file compressed."""
        if name not in self._compressed:
            self._compressed[name] = gzip.compress(self.contents[name], compresslevel=9, mtime=0)
        return self._compressed[name]


def static_route(static: StaticFiles) -> Any:
    """Give the route of the static files, which needs no session."""

    @get("/static/{version:str}/{name:path}", public=True)
    async def static_file(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
        key = name.lstrip("/")
        if key not in static.contents:
            raise NotFoundException(f"there is no static file {key[:80]}")
        headers = {**STATIC_HEADERS, "Vary": "Accept-Encoding"}
        body = static.contents[key]
        if accepts_gzip(request):
            # The 3-D viewer has megabytes, which take a moment when they are first asked for.
            body = await in_thread(lambda: static.compressed(key))
            headers["Content-Encoding"] = "gzip"
        media_type = _MEDIA_TYPES.get(key.rpartition(".")[2], "application/octet-stream")
        return Response(content=body, media_type=media_type, headers=headers)

    return static_file


def _files(folder: Traversable, prefix: str) -> Any:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()
