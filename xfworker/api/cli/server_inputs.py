"""Brings the inputs that a command names to a server on which others work as well: files go into user data."""

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xfworker.api.cli.console import messages
from xfworker.api.cli.items import Inputs, earlier_values
from xfworker.domain.errors import UsageError
from xfworker.domain.files import USERDATA, Scope, userdata_resource
from xfworker.domain.parameters import create_parameter
from xfworker.services.transfers.observed import reporting

if TYPE_CHECKING:
    from xfworker.api.composition.client import Client
    from xfworker.services.jobs.staging import StagedFile


def bring_inputs(client: "Client", inputs: Inputs, interface: Mapping[str, Any] | None) -> dict[str, Any]:
    """
    Give all inputs as values, storing the files among them.

    Raises:
        UsageError: There is no such earlier output, it does not fit, or a sequence holds values of its own.
        RecordNotFound: There is no such job or task.
    """
    for key in inputs.sequences:
        raise UsageError(f"{key}: a sequence on a server is made by a task; name it as {key}@task:SERIAL:OUTPUT")
    earlier = earlier_values(client.server, inputs, interface)
    files = {key: _uploaded(client, file) for key, file in inputs.files.items()}
    return {**inputs.values, **earlier, **files}


def _uploaded(client: "Client", file: "StagedFile") -> dict[str, Any]:
    """Put a file, and those that belong to it, into user data, and give the parameter that names it."""
    folder = f"runs/{uuid.uuid4()}"
    for path in file.paths:
        resource = userdata_resource(f"{folder}/{path.name}")
        messages().print(f"storing {path} as {resource}")
        token = client.server.file_token([Scope("write", resource)])
        client.files.upload(token, path, resource, progress=reporting("upload", resource))
    return create_parameter(
        file.type,
        source=USERDATA,
        virtualpath=f"{folder}/{file.paths[0].name}",
        filename=file.paths[0].name,
        size=None if file.size is None else list(file.size),
        filenames=[path.name for path in file.paths[1:]] or None,
    )
