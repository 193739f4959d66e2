"""
The pytest plugin: fixtures for testing task scripts. It is active wherever ``xfworker[test-kit]`` is installed.

Nothing heavy is imported before a fixture is used.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

import pytest

from xfworker.api.composition.module_folders import SCRIPT_MODULE_FOLDER

if TYPE_CHECKING:
    from xfworker.testing.captured_task import CapturedTask
    from xfworker.testing.memory_platform import MemoryPlatform
    from xfworker.testing.platform import PlatformUnderTest
    from xfworker.testing.served_platform import ServedPlatform
    from xfworker.testing.snapshots import Snapshots
    from xfworker.testing.started_job import StartedJob
    from xfworker.testing.task_result import TaskResult


class RunTask(Protocol):
    """
    What the fixture ``run_task`` gives: it runs a script or a package.

    See :meth:`xfworker.testing.PlatformUnderTest.run_task`; with ``capture`` :func:`xfworker.testing.run_capture`.
    """

    @overload
    def __call__(
        self,
        target: Path | str,
        inputs: Mapping[str, Any] | None = None,
        /,
        *,
        subprocess: bool = False,
        check: bool = True,
        interface: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> "TaskResult": ...

    @overload
    def __call__(
        self,
        target: Path | str | None = None,
        inputs: Mapping[str, Any] | None = None,
        /,
        *,
        capture: Path | str,
        check: bool = True,
        **more: Any,
    ) -> "CapturedTask": ...


class RunCapture(Protocol):
    """What the fixture ``run_capture`` gives."""

    def __call__(
        self,
        capture: Path | str,
        target: Path | str | None = None,
        inputs: Mapping[str, Any] | None = None,
        *,
        check: bool = True,
    ) -> "CapturedTask":
        """Run the job of a capture without any server; see :func:`xfworker.testing.run_capture`."""


class MakeJob(Protocol):
    """What the fixture ``xf_job`` gives."""

    def __call__(
        self, inputs: Mapping[str, Any] | None = None, *, interface: Mapping[str, Any] | None = None, **more: Any
    ) -> "StartedJob":
        """Make a running job; see :meth:`xfworker.testing.PlatformUnderTest.make_job`."""


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Put this package's ``xfworkerutil`` first: tests of scripts want it, whatever else is installed."""
    sys.path.insert(0, str(SCRIPT_MODULE_FOLDER))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes snapshots."""
    parser.getgroup("xfworker").addoption(
        "--xf-update-snapshots",
        action="store_true",
        help="write the snapshots of task outputs (xf_snapshot) instead of comparing with them",
    )


@pytest.fixture
def xf_platform(tmp_path: Path) -> Iterator["MemoryPlatform"]:
    """
    Give an empty platform in memory, with the rules of the real server and a clock that stands still.

    See :class:`xfworker.testing.MemoryPlatform`.
    """
    from xfworker.testing.memory_platform import MemoryPlatform

    folder = tmp_path / "xf-memory"
    folder.mkdir()
    platform = MemoryPlatform(folder)
    yield platform
    platform.close()


@pytest.fixture(scope="session")
def _xf_served_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator["ServedPlatform"]:
    from xfworker.testing.served_platform import ServedPlatform

    platform = ServedPlatform(tmp_path_factory.mktemp("xf-server"))
    yield platform
    platform.close()


@pytest.fixture
def xf_server(_xf_served_platform: "ServedPlatform") -> Iterator["ServedPlatform"]:
    """
    Give a real server on a loopback port. It is started once for a test run: records of earlier tests are still there.

    See :class:`xfworker.testing.ServedPlatform`.
    """
    _xf_served_platform.faults.clear()
    yield _xf_served_platform
    _xf_served_platform.faults.clear()


@pytest.fixture
def xf_job(xf_platform: "MemoryPlatform") -> Iterator[MakeJob]:
    """Give a function that makes running jobs with inputs on the platform in memory."""
    started: list[StartedJob] = []

    def make(
        inputs: Mapping[str, Any] | None = None, *, interface: Mapping[str, Any] | None = None, **more: Any
    ) -> "StartedJob":
        job = xf_platform.make_job(inputs, interface=interface, **more)
        started.append(job)
        return job

    yield make
    for job in reversed(started):
        job.close()


@pytest.fixture
def run_task(request: pytest.FixtureRequest) -> RunTask:
    """
    Give a function that runs a script or a task type package.

    It runs inside this process on ``xf_platform``; with ``subprocess=True`` as a process of its own on ``xf_server``;
    with ``capture=FILE`` as a process of its own on that capture, without any server.
    """

    def run(
        target: Path | str | None = None,
        inputs: Mapping[str, Any] | None = None,
        /,
        *,
        subprocess: bool = False,
        check: bool = True,
        interface: Mapping[str, Any] | None = None,
        capture: Path | str | None = None,
        **more: Any,
    ) -> Any:
        if capture is not None:
            captured: RunCapture = request.getfixturevalue("run_capture")
            return captured(capture, target, {**(inputs or {}), **more}, check=check)
        if target is None:
            raise TypeError("run_task needs a script or package to run, or a capture=")
        platform: PlatformUnderTest = request.getfixturevalue("xf_server" if subprocess else "xf_platform")
        return platform.run_task(target, inputs, check=check, interface=interface, **more)

    return run


@pytest.fixture
def run_capture(tmp_path_factory: pytest.TempPathFactory) -> RunCapture:
    """Give a function that runs the job of a capture without any server, with its own script or another one."""

    def run(
        capture: Path | str,
        target: Path | str | None = None,
        inputs: Mapping[str, Any] | None = None,
        *,
        check: bool = True,
    ) -> "CapturedTask":
        from xfworker.testing.captured_task import run_capture as run_captured

        return run_captured(capture, target, inputs, check=check, folder=tmp_path_factory.mktemp("xf-capture"))

    return run


@pytest.fixture
def xf_snapshot(request: pytest.FixtureRequest) -> "Snapshots":
    """Give a function that compares what a task gave with what is kept beside the test."""
    from xfworker.testing.snapshots import Snapshots

    update = bool(request.config.getoption("xf_update_snapshots"))
    return Snapshots(request.path, request.node.name, update=update)
