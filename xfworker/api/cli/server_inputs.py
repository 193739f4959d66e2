"""Brings the inputs that a command names to a server on which others work as well: files go into user data."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xfworker.api.cli.console import messages
from xfworker.api.cli.items import Inputs, earlier_values
from xfworker.domain.errors import UsageError
from xfworker.services.jobs.user_files import store_user_file, user_resources

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
    resources = user_resources(file)
    for path, resource in zip(file.paths, resources, strict=True):
        messages().print(f"storing {path} as {resource}")
    return store_user_file(client.server, client.files, file, resources)
