"""What files take, and the deletion of those of obsolete runs."""

from litestar import Response, Router, get, post

from xfworker.adapters.web.exchange import AnyRequest, answer_message, caller, in_thread, message
from xfworker.adapters.wire.disk_space import FileDeletionRequest
from xfworker.adapters.wire.records import Items
from xfworker.services.platform.platform import Platform


def disk_space_router(platform: Platform) -> Router:

    @get("/disk-space")
    async def disk_space(request: AnyRequest) -> Response[bytes]:
        return answer_message(await in_thread(lambda: platform.measure_disk(caller(request))))

    @post("/file-deletions", status_code=200)
    async def delete_files(request: AnyRequest) -> Response[bytes]:
        body = await message(request, FileDeletionRequest, "the request")
        freed = await in_thread(
            lambda: platform.file_deletion_for(caller(request)).delete(
                body.runs, body.workflows, dry_run=body.dry_run, make_obsolete=body.make_obsolete
            )
        )
        return answer_message(Items(items=freed))

    return Router(path="/", route_handlers=[disk_space, delete_files])
