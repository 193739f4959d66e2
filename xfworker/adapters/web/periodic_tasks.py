"""Runs the platform's maintenance every few seconds while the application runs."""

import asyncio
import contextlib

import structlog

from xfworker.adapters.web.exchange import in_thread
from xfworker.domain.errors import XFWorkerError
from xfworker.services.platform.platform import Platform

_log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.web")


class PeriodicTasks:
    """Runs the platform's maintenance every few seconds, in the event loop that serves."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._platform.begin_serving()
        self._task = asyncio.create_task(self._keep_going())

    async def stop(self) -> None:
        """End, and wait for the end."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _keep_going(self) -> None:
        while True:
            await asyncio.sleep(self._platform.maintenance_seconds)
            try:
                await in_thread(self._platform.maintain)
            except XFWorkerError as error:
                _log.warning("xfworker.maintenance_failed", reason=str(error))
            except Exception:  # noqa: BLE001  one failure must not end the maintenance
                _log.exception("xfworker.maintenance_failed")
