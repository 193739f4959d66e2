"""An administrator's view of the disk: what the files of each workflow take, and what is given back of it."""

from typing import Any

from litestar import Response, get, post
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.answers import done, form_value
from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.rendering import formatted_bytes
from xfworker.adapters.page.session import AnyRequest, in_thread, signed_in
from xfworker.adapters.page.strings import strings
from xfworker.adapters.wire.digits import read_digits
from xfworker.domain.disk_space import DiskUse
from xfworker.domain.errors import UsageError
from xfworker.domain.records import Run, Workflow

_MOST_SERIALS = 500_000


def disk_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of the disk's use; the last measurement is kept while the server runs."""
    last: dict[str, DiskUse] = {}
    said = strings()["done"]

    @get("/disk")
    async def disk(request: AnyRequest) -> Response[bytes]:
        signed_in(request).require(to="see what takes disk space")
        return parts.templates.answer(request, "disk.html", use=last.get("use"))

    @post("/disk", status_code=200)
    async def measure(request: AnyRequest) -> Response[Any]:
        principal = signed_in(request)
        last["use"] = await in_thread(lambda: parts.platform.measure_disk(principal))
        return done(request, said["measured"], page="/disk", go=True)

    @get("/disk/free")
    async def ask(request: AnyRequest) -> Response[bytes]:
        """Show what would go, before it does."""
        signed_in(request).require(to="delete files of obsolete runs")
        text = request.query_params.get("workflow", "")
        workflow = read_digits(text, most=18)
        if text and workflow is None:
            raise UsageError("workflow: expected the serial of a workflow")
        values = await in_thread(lambda: _asked(parts, request, workflow))
        return parts.templates.answer(request, "disk_free.html", **values)

    @post("/disk/free", status_code=200)
    async def free(request: AnyRequest) -> Response[Any]:
        principal = signed_in(request)
        principal.require(to="delete files of obsolete runs")
        runs, workflows = [
            _serials(await form_value(request, name, most=_MOST_SERIALS)) for name in ("runs", "workflows")
        ]
        freed = await in_thread(lambda: parts.platform.file_deletion_for(principal).delete(runs, workflows))
        last["use"] = await in_thread(lambda: parts.platform.measure_disk(principal))
        files, size = (sum(getattr(one, name) for one in freed) for name in ("files", "bytes"))
        return done(request, said["freed"].format(count=files, size=formatted_bytes(size)), page="/disk", go=True)

    return [disk, measure, ask, free]


def _asked(parts: PageParts, request: AnyRequest, workflow: int | None) -> dict[str, Any]:
    """Give what the obsolete runs of a workflow, or of all, would give back; for a thread."""
    server = parts.server(request)
    chosen = None if workflow is None else server.get(Workflow, workflow)
    where = {} if workflow is None else {"workflow_serial": workflow}
    obsolete = [one for one in server.find(Workflow, {"obsolete": True}) if workflow in {None, one.serial}]
    runs = {run.serial for run in server.find(Run, {**where, "obsolete": True})}
    for one in obsolete:
        runs |= {run.serial for run in server.find(Run, {"workflow_serial": one.serial})}
    deletion = parts.platform.file_deletion_for(signed_in(request))
    freed = deletion.delete(sorted(runs), [one.serial for one in obsolete], dry_run=True)
    going = [one for one in freed if one.files]
    return {
        "workflow": chosen,
        "names": {one.serial: one.name for one in server.find(Workflow)},
        "going": going,
        "kept": [one for one in freed if one.reason],
        "files": sum(one.files for one in going),
        "bytes": sum(one.bytes for one in going),
        # What was looked at is what goes: a run that is made obsolete meanwhile is none of it.
        "runs": _listed(one.run_serial for one in going),
        "workflows": _listed(one.workflow_serial for one in going if one.run_serial is None),
    }


def _listed(serials: Any) -> str:
    return ",".join(str(serial) for serial in serials if serial is not None)


def _serials(text: str) -> list[int]:
    serials = [read_digits(part, most=18) for part in text.split(",")] if text else []
    if None in serials:
        raise UsageError("runs: expected serials with commas between")
    return [serial for serial in serials if serial is not None]
