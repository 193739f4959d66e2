"""dask and its parts, which are installed with the extra of that name."""

import importlib
from types import ModuleType

from xfworker.domain.errors import ConfigurationError


def dask_library(name: str, what: str) -> ModuleType:
    """
    Import a part of dask.

    Args:
        name: The module.
        what: What needs it, for the error.

    Raises:
        ConfigurationError: It is not installed; the message says how to get it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = (error.name or name).partition(".")[0].replace("_", "-")
        extra = package if package == "dask-jobqueue" else "'xfworker[dask]'"
        raise ConfigurationError(
            f"{what} needs the package {package!r}, which is not installed here; install it with: pip install {extra}"
            " (for scripts of a worker, a dependency package does that)"
        ) from error
