"""
The testing kit: everything for testing task scripts and adapters, published for others.

``pip install "xfworker[test-kit]"`` brings the pytest plugin with the fixtures ``xf_platform``, ``xf_server``,
``xf_job``, ``run_task``, ``run_capture`` and ``xf_snapshot``; what is here works without pytest as well. The contract
suites that prove an adapter are in :mod:`xfworker.testing.contracts`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xfworker.testing.captured_task import CapturedTask, run_capture
    from xfworker.testing.faults import Faults
    from xfworker.testing.image_comparison import assert_same_image
    from xfworker.testing.job_inputs import FileInput, ImageInput, file_input, image_input
    from xfworker.testing.job_outputs import CompositeOutput
    from xfworker.testing.memory_platform import MemoryPlatform
    from xfworker.testing.platform import PlatformUnderTest
    from xfworker.testing.requests import Request
    from xfworker.testing.served_platform import ServedPlatform
    from xfworker.testing.snapshots import Snapshots
    from xfworker.testing.started_job import StartedJob
    from xfworker.testing.task_result import TaskFailed, TaskResult

__all__ = [
    "CapturedTask",
    "CompositeOutput",
    "Faults",
    "FileInput",
    "ImageInput",
    "MemoryPlatform",
    "PlatformUnderTest",
    "Request",
    "ServedPlatform",
    "Snapshots",
    "StartedJob",
    "TaskFailed",
    "TaskResult",
    "assert_same_image",
    "file_input",
    "image_input",
    "run_capture",
]

_MODULES = {
    "CapturedTask": "captured_task",
    "CompositeOutput": "job_outputs",
    "Faults": "faults",
    "FileInput": "job_inputs",
    "ImageInput": "job_inputs",
    "MemoryPlatform": "memory_platform",
    "PlatformUnderTest": "platform",
    "Request": "requests",
    "ServedPlatform": "served_platform",
    "Snapshots": "snapshots",
    "StartedJob": "started_job",
    "TaskFailed": "task_result",
    "TaskResult": "task_result",
    "assert_same_image": "image_comparison",
    "file_input": "job_inputs",
    "image_input": "job_inputs",
    "run_capture": "captured_task",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: the plugin is loaded into every run of pytest and must cost nothing."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Name what is published."""
    return sorted([*__all__, "contracts"])
