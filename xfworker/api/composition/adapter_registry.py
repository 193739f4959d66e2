"""
Adapters of other packages, discovered by their entry points.

A package registers an adapter in the group ``xfworker.adapters`` as ``PORT.NAME``, such as
``files.smb = "smb_files:open_smb"``, and the settings name it by ``NAME``. What is registered is called with the table
``options`` of the settings as keyword arguments, and gives the adapter.
"""

import difflib
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from xfworker.domain.errors import ConfigurationError, XFWorkerError

GROUP = "xfworker.adapters"


def registered(port: str) -> dict[str, EntryPoint]:
    """Give the adapters that are installed for a port (``server``, ``files``, ``images``) by name."""
    prefix = f"{port}."
    return {
        adapter.name.removeprefix(prefix): adapter
        for adapter in entry_points(group=GROUP)
        if adapter.name.startswith(prefix)
    }


def make_adapter(port: str, name: str, options: Mapping[str, Any], *, own: tuple[str, ...], setting: str) -> Any:
    """
    Make an adapter that the settings name.

    Args:
        port: ``server``, ``files`` or ``images``.
        name: What the settings call it.
        options: Its arguments.
        own: The names that need no registration, for messages.
        setting: The setting that names it, for messages.

    Raises:
        ConfigurationError: No such adapter is installed, or it cannot be made.
    """
    adapters = registered(port)
    if name not in adapters:
        raise unknown_adapter(setting, name, [*own, *sorted(adapters)])
    try:
        return adapters[name].load()(**options)
    except XFWorkerError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"{setting} is {name!r}; making that adapter ({adapters[name].value}) failed: "
            f"{type(error).__name__}: {error}"
        ) from error


def unknown_adapter(setting: str, name: str, known: Sequence[str]) -> ConfigurationError:
    """Give the error that says that no adapter of a name is installed, and which are."""
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    there = f"there are: {', '.join(known)}" if known else "there is none"
    return ConfigurationError(f"{setting} is {name!r}, and no adapter of that name is installed; {there}{meant}")
