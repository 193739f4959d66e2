"""The packages that are installed, and new ones, which an administrator drops on the page."""

import json
import tempfile
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define
from litestar import Response, get, post
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.answers import form_value
from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.rendering import answer_json
from xfworker.adapters.page.session import AnyRequest, in_thread, signed_in
from xfworker.adapters.page.strings import strings
from xfworker.domain.errors import FileNotInStore, PackageError, UsageError, XFWorkerError
from xfworker.domain.files import USERDATA, Resource, Scope, parse_resource, require_file
from xfworker.domain.package import ARCHIVE_SUFFIX, PackageFormat
from xfworker.domain.records import DependencyPackage, TaskType
from xfworker.services.packages.archive import unpack
from xfworker.services.packages.check import check_package
from xfworker.services.packages.checkin import check_in

_FOLDER = "packages-on-their-way"
_MOST_AT_ONCE = 50
_MOST_NAMES = 20_000


@define(frozen=True)
class _Dropped:
    """An archive that was uploaded, and its files where they were unpacked."""

    resource: Resource
    folder: Path

    @property
    def name(self) -> str:
        return self.resource.filename


def package_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of packages."""

    @get("/packages")
    async def packages(request: AnyRequest) -> Response[bytes]:
        def read() -> dict[str, Any]:
            server = parts.server(request)
            return {
                "task_types": sorted(server.find(TaskType), key=lambda item: (item.name, item.serial)),
                "dependencies": sorted(server.find(DependencyPackage), key=lambda item: (item.name, item.serial)),
                "folder": f"{USERDATA}/{_FOLDER}/{uuid.uuid4()}",
            }

        return parts.templates.answer(request, "packages.html", **await in_thread(read))

    @post("/packages", status_code=200)
    async def install(request: AnyRequest) -> Response[bytes]:
        signed_in(request).require(to="install packages on the page")
        resources = _resources(await form_value(request, "resources", most=_MOST_NAMES))
        replace = await form_value(request, "replace") == "true"
        results = await in_thread(lambda: _installed(parts, request, resources, replace=replace))
        return answer_json(request, {"results": results})

    return [packages, install]


def _resources(text: str) -> list[Resource]:
    try:
        named = json.loads(text)
    except ValueError:
        named = None
    if not isinstance(named, list) or not named or not all(isinstance(item, str) for item in named):
        raise UsageError("resources: expected the uploaded archives as a JSON list")
    if len(named) > _MOST_AT_ONCE:
        raise UsageError(f"at most {_MOST_AT_ONCE} packages are installed at once")
    resources = [require_file(parse_resource(item)) for item in named]
    for resource in resources:
        # What is read here is deleted afterwards, so it is nothing but what was uploaded for this.
        if resource.segments[:2] != (USERDATA, _FOLDER):
            raise UsageError(f"{resource} was not uploaded to be installed")
    return resources


def _installed(
    parts: PageParts, request: AnyRequest, resources: list[Resource], *, replace: bool
) -> list[dict[str, Any]]:
    """Install packages, all of them checked before the first, and give a sentence for each; for a thread."""
    try:
        with tempfile.TemporaryDirectory(prefix="xfworker-packages-") as scratch:
            dropped: list[_Dropped] = []
            refused: list[dict[str, Any]] = []
            for index, resource in enumerate(resources):
                try:
                    dropped.append(_unpacked(parts, request, resource, Path(scratch, str(index))))
                except XFWorkerError as error:
                    refused.append(_result(resource.filename, _sentence(error, Path(scratch)), is_error=True))
            if refused:
                left = {result["name"] for result in refused}
                others = [resource.filename for resource in resources if resource.filename not in left]
                said = strings()["packages"]["held_back"]
                return refused + [_result(name, said, is_error=True) for name in others]
            return [_check_in(parts, request, item, Path(scratch), replace=replace) for item in dropped]
    finally:
        _clear(parts, request, resources)


def _unpacked(parts: PageParts, request: AnyRequest, resource: Resource, scratch: Path) -> _Dropped:
    if not resource.filename.lower().endswith(ARCHIVE_SUFFIX):
        raise PackageError(f"{resource.filename} is not a package archive: its name does not end with {ARCHIVE_SUFFIX}")
    archive, folder = scratch / "archive" / resource.filename, scratch / "files" / resource.filename
    archive.parent.mkdir(parents=True)
    folder.mkdir(parents=True)
    parts.platform.own_files().download(parts.server(request).file_token([Scope("read", resource)]), resource, archive)
    unpack(archive, folder)
    if check_package(folder).format is PackageFormat.WORKFLOW:
        raise PackageError(
            f"{resource.filename} is a workflow package; it is imported into a project: xfworker workflow import"
        )
    return _Dropped(resource, folder)


def _check_in(parts: PageParts, request: AnyRequest, item: _Dropped, scratch: Path, *, replace: bool) -> dict[str, Any]:
    said = strings()["packages"]
    try:
        done = check_in(parts.server(request), parts.platform.own_files(), item.folder, replace=replace)
    except XFWorkerError as error:
        return _result(item.name, _sentence(error, scratch), is_error=True)
    state = "installed" if done.is_new else "replaced" if done.is_replaced else "was_there"
    return _result(item.name, said[state].format(name=f"{done.record.name} {done.record.version}"), is_error=False)


def _result(name: str, message: str, *, is_error: bool) -> dict[str, Any]:
    return {"name": name, "message": message, "error": is_error}


def _sentence(error: XFWorkerError, scratch: Path) -> str:
    """Give an error without where the archive was unpacked, which is of no use to anybody."""
    return "".join(_without(str(error), scratch))


def _without(text: str, scratch: Path) -> Iterator[str]:
    first, *rest = text.replace("\\", "/").split(f"{scratch.as_posix()}/")
    yield first
    for part in rest:
        yield part.split("/", 2)[-1]


def _clear(parts: PageParts, request: AnyRequest, resources: list[Resource]) -> None:
    token = parts.server(request).file_token([Scope("delete", resource) for resource in resources])
    for resource in resources:
        try:
            parts.files.delete(token, resource, permit=partial(parts.platform.held_file_rights, token))
        except FileNotInStore:
            continue
