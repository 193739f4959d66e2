"""The documented names that the modules of a capture have, whether the captured job used them or not."""

import inspect
from functools import cache
from importlib import import_module
from typing import Any

from xfworker.api.capture.xfcapture import DOCUMENTED_FUNCTIONS

MODULES = ("xfworkerutil", "omni", "network", "xfsortorder")
JOB = "XFWorkerJob"
IMAGE = "Image"
CALIBRATION = "Calibration"
WORKING_DIRECTORY = "TemporaryWorkingDirectory"
ARGUMENTS = "XFWorkerArguments"
CLASSES = {"xfworkerutil": (JOB, WORKING_DIRECTORY, ARGUMENTS), "omni": (IMAGE, CALIBRATION)}
FUNCTIONS = {
    "network": (
        "list_files_and_folders_on_filestorage",
        "virtualpath_join_file",
        "virtualpath_join_folder",
    )
}

_HOMES = ("activity_log", "file_tokens", "parameters", "queries", "records", "sns")


@cache
def functions_of(module: str) -> tuple[str, ...]:
    """Name the documented functions of a module."""
    return tuple(DOCUMENTED_FUNCTIONS) if module == "xfworkerutil" else FUNCTIONS.get(module, ())


@cache
def methods_of(class_name: str) -> tuple[str, ...]:
    """Name the documented methods of a class."""
    cls = _own_class(class_name)
    if cls is None:
        return ()
    return tuple(name for name, member in inspect.getmembers(cls, callable) if not name.startswith("_"))


@cache
def signature_of(name: str) -> inspect.Signature | None:
    """Give the documented parameters of a call such as ``XFWorkerJob.finish``, without ``self``."""
    owner, _, function = name.rpartition(".")
    if owner == "xfworkerutil":
        own: Any = next((getattr(module, function) for module in _own_modules() if hasattr(module, function)), None)
        return None if own is None else inspect.signature(own)
    found = getattr(_own_class(owner), function, None)
    if not callable(found):
        return None
    signature = inspect.signature(found)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _own_class(name: str) -> type | None:
    from xfworker.api.facade.omni import Calibration, Image
    from xfworker.api.facade.worker_job import XFWorkerJob
    from xfworker.api.facade.working_directory import TemporaryWorkingDirectory

    own = (XFWorkerJob, TemporaryWorkingDirectory, Image, Calibration)
    return next((cls for cls in own if cls.__name__ == name), None)


def _own_modules() -> list[Any]:
    return [import_module(f"xfworker.api.facade.functions.{name}") for name in _HOMES]
