"""Puts files of people, and those that belong to them, into user data."""

import uuid
from typing import Any

from xfworker.domain.files import USERDATA, Resource, Scope, userdata_resource
from xfworker.domain.parameters import create_parameter
from xfworker.ports.file_store import FileStore
from xfworker.ports.xf_server import XFServer
from xfworker.services.jobs.staging import StagedFile
from xfworker.services.transfers.observed import reporting


def user_resources(staged: StagedFile) -> list[Resource]:
    """Give a new resource in user data for each path of a file that is to be stored there."""
    folder = f"runs/{uuid.uuid4()}"
    return [userdata_resource(f"{folder}/{path.name}") for path in staged.paths]


def store_user_file(
    server: XFServer, files: FileStore, staged: StagedFile, resources: list[Resource]
) -> dict[str, Any]:
    """Store a file under the resources that were made for it, and give the parameter that names it."""
    for path, resource in zip(staged.paths, resources, strict=True):
        token = server.file_token([Scope("write", resource)])
        files.upload(token, path, resource, progress=reporting("upload", resource))
    return create_parameter(
        staged.type,
        source=USERDATA,
        virtualpath="/".join(resources[0].segments[1:]),
        filename=resources[0].filename,
        size=None if staged.size is None else list(staged.size),
        filenames=[resource.filename for resource in resources[1:]] or None,
    )
