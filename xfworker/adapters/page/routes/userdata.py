"""User data: folders and files of people, stored, moved and deleted."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.answers import done, form_value
from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.adapters.page.strings import strings
from xfworker.adapters.page.values import FileLink
from xfworker.domain.digests import Digests
from xfworker.domain.errors import FileNotInStore, UsageError
from xfworker.domain.files import USERDATA, AuthorizationToken, Resource, Scope, require_file, userdata_resource

_SHOWN = 2000
_MOST_AT_ONCE = 10_000
_LONGEST_PATH = 4000


def userdata_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of user data."""
    said = strings()["done"]

    @get(["/userdata", "/userdata/{path:path}"])
    async def folder(request: AnyRequest, path: FromPath[str] = "") -> Response[bytes]:
        resource = userdata_resource(path)

        def read() -> dict[str, Any]:
            token = parts.server(request).file_token([Scope("list", resource)])
            found = parts.files.list(token, resource)
            return {
                "folders": [(name, FileLink(resource.child(name))) for name in found.folders],
                "files": [(stat, FileLink(stat.resource)) for stat in found.files[:_SHOWN]],
                "left_out": max(len(found.files) - _SHOWN, 0),
            }

        trail = [
            (name, FileLink(Resource(resource.segments[: index + 1])).path)
            for index, name in enumerate(resource.segments)
        ]
        return parts.templates.answer(request, "userdata.html", resource=resource, trail=trail, **await in_thread(read))

    @post("/userdata-move", status_code=200)
    async def move(request: AnyRequest) -> Response[Any]:
        source, target = [
            userdata_resource(await form_value(request, name, most=_LONGEST_PATH)) for name in ("source", "target")
        ]
        await in_thread(lambda: _move(parts, request, source, target))
        return done(request, said["moved"], page=_page_of(source))

    @post("/userdata-delete", status_code=200)
    async def delete(request: AnyRequest) -> Response[Any]:
        resource = userdata_resource(await form_value(request, "path", most=_LONGEST_PATH))
        count = await in_thread(lambda: _delete(parts, request, resource))
        return done(request, said["deleted"].format(count=count), page=_page_of(resource))

    return [folder, move, delete]


def _page_of(resource: Resource) -> str:
    return f"/{FileLink(Resource(resource.segments[:-1] or (USERDATA,))).path}"


def _move(parts: PageParts, request: AnyRequest, source: Resource, target: Resource) -> None:
    """
    Move a file: it is stored under its new name, whole and verified, before the old one goes.

    Raises:
        UsageError: There is a file of the new name, or it is the old one.
        FileNotInStore: There is no such file.
    """
    require_file(source)
    require_file(target)
    scopes = [Scope("read", source), Scope("delete", source), Scope("read", target), Scope("write", target)]
    token = parts.server(request).file_token(scopes)
    permit = partial(parts.platform.held_file_rights, token)
    try:
        parts.files.stat(token, target)
    except FileNotInStore:
        pass
    else:
        raise UsageError(f"there is a file {target} already; delete it first, or choose another name")
    stat, opened = parts.files.open_file(token, source)
    try:
        incoming = parts.files.receive(target, size=stat.size)
        try:
            for block in opened.blocks(offset=0, length=stat.size):
                incoming.write(block)
            incoming.publish(permit, size=stat.size, expected=Digests(stat.sha256, stat.xxh3))
        except BaseException:
            incoming.discard()
            raise
    finally:
        opened.close()
    parts.files.delete(token, source, permit=permit)


def _delete(parts: PageParts, request: AnyRequest, resource: Resource) -> int:
    """
    Delete a file, or a folder with all that is in it, and give how many files that were.

    Raises:
        FileNotInStore: There is nothing.
        UsageError: It is all of user data, or too many files at once.
    """
    if len(resource.segments) < 2:  # noqa: PLR2004  the source alone
        raise UsageError("all of user data is not deleted here; choose a folder in it")
    token = parts.server(request).file_token(
        [Scope("list", resource), Scope("read", resource), Scope("delete", resource)]
    )
    permit = partial(parts.platform.held_file_rights, token)
    found = list(_files(parts, token, resource))
    if len(found) > _MOST_AT_ONCE:
        raise UsageError(f"{resource} holds more than {_MOST_AT_ONCE} files; delete its folders one by one")
    for item in found or [resource]:
        parts.files.delete(token, item, permit=permit)
    return max(len(found), 1)


def _files(parts: PageParts, token: AuthorizationToken, folder: Resource) -> Iterator[Resource]:
    content = parts.files.list(token, folder)
    yield from (stat.resource for stat in content.files)
    for name in content.folders:
        yield from _files(parts, token, folder.child(name))
