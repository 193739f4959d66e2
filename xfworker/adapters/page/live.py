"""
What changes while a page is open, as server-sent events.

Each workflow that somebody looks at is asked once a second what changed since the last time, however many look. The id
of an event is a time of the database, so that who comes back, to this process or another, is sent what they missed.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from attrs import define, field

from xfworker.adapters.page.board_document import change_document
from xfworker.adapters.page.session import in_thread
from xfworker.domain.board import BoardChanges
from xfworker.domain.conversion import format_time, parse_time
from xfworker.domain.errors import ServerBusy, XFWorkerError
from xfworker.domain.records import Workflow
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.principal import ADMIN

POLL_SECONDS = 1.0
BEAT_SECONDS = 4.0
"""How often a page hears that nothing changed; one that hears nothing for three times as long says so."""

_OVERLAP = timedelta(seconds=5)
"""Other processes write with clocks of their own, and a transaction is seen after the time it wrote."""
_LONGEST_AWAY = timedelta(minutes=10)
_MOST_QUEUED = 64
_MOST_LOOKING = 1024
_RECHECK_SECONDS = 15.0
_RETRY_MILLISECONDS = 2000
_END = ""

_log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.page")


def sse(event: str, data: Mapping[str, Any], identifier: str = "") -> str:
    """Write a server-sent event."""
    head = f"id: {identifier}\n" if identifier else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


@define
class LiveBoards:
    """The workflows that somebody looks at."""

    _platform: Platform
    _watches: dict[int, "_Watch"] = field(factory=dict, init=False)
    _looking: int = field(default=0, init=False)
    _is_over: bool = field(default=False, init=False)

    def stop(self) -> None:
        """End all events, because the server stops; pages come back by themselves."""
        self._is_over = True
        for watch in self._watches.values():
            watch.end()

    async def events(self, workflow_serial: int, token: str, after: str | None) -> AsyncIterator[str]:
        """
        Give the events of a workflow until who looks may do so no longer.

        Args:
            workflow_serial: The workflow; the caller has found out that it may be seen.
            token: The session's token, which is asked about again every few seconds.
            after: The id of the last event that was seen.

        Raises:
            ServerBusy: Too many look already.
        """
        if self._looking >= _MOST_LOOKING or self._is_over:
            raise ServerBusy("too many pages are open at once; close some and load this one again")
        self._looking += 1
        queue: asyncio.Queue[str] = asyncio.Queue(_MOST_QUEUED)
        watch = self._watches.get(workflow_serial)
        if watch is None:
            watch = self._watches[workflow_serial] = _Watch(self._platform, workflow_serial)
        watch.add(queue)
        try:
            yield f"retry: {_RETRY_MILLISECONDS}\n\n"
            yield await self._missed(workflow_serial, after)
            async for event in self._allowed(queue, workflow_serial, token):
                yield event
        finally:
            self._looking -= 1
            watch.remove(queue)
            if not watch.is_watched and self._watches.get(workflow_serial) is watch:
                del self._watches[workflow_serial]

    async def _missed(self, workflow_serial: int, after: str | None) -> str:
        now = self._platform.clock.now()
        since = _moment(after)
        if since is None:
            return sse("beat", {}, format_time(now))
        if now - since > _LONGEST_AWAY:
            return sse("reload", {}, format_time(now))
        changes = await in_thread(lambda: _changes(self._platform, workflow_serial, since - _OVERLAP))
        return sse("change", change_document(changes), format_time(changes.read_at))

    async def _allowed(self, queue: "asyncio.Queue[str]", workflow_serial: int, token: str) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        checked_at = loop.time()
        while True:
            event = await queue.get()
            if event == _END:
                return
            if loop.time() - checked_at >= _RECHECK_SECONDS:
                checked_at = loop.time()
                if not await in_thread(lambda: self._may_look(workflow_serial, token)):
                    yield sse("signed-out", {})
                    return
            yield event

    def _may_look(self, workflow_serial: int, token: str) -> bool:
        try:
            principal = self._platform.authenticate(token)
            self._platform.server_for(principal).get(Workflow, workflow_serial)
        except ServerBusy:
            return True  # it could not be asked; the next time says
        except XFWorkerError:
            return False
        return True


@define(eq=False)
class _Watch:
    """One workflow that is looked at."""

    _platform: Platform
    _serial: int
    _queues: set["asyncio.Queue[str]"] = field(factory=set, init=False)
    _task: "asyncio.Task[None] | None" = field(default=None, init=False)

    @property
    def is_watched(self) -> bool:
        return bool(self._queues)

    def add(self, queue: "asyncio.Queue[str]") -> None:
        self._queues.add(queue)
        if self._task is None:
            self._task = asyncio.create_task(self._watch())

    def remove(self, queue: "asyncio.Queue[str]") -> None:
        self._queues.discard(queue)
        if not self._queues and self._task is not None:
            self._task.cancel()
            self._task = None

    def end(self) -> None:
        for queue in self._queues:
            _empty(queue)
            queue.put_nowait(_END)

    async def _watch(self) -> None:
        since = self._platform.clock.now()
        seen: dict[tuple[str, int], Any] | None = None
        loop = asyncio.get_running_loop()
        beaten_at = loop.time()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                begin = since - _OVERLAP
                changes = await in_thread(lambda begin=begin: _changes(self._platform, self._serial, begin))  # type: ignore[misc]  # the loop's own value
            except XFWorkerError as error:
                # Nothing is sent, so the pages say after a while that they do not know.
                _log.warning("xfworker.page_cannot_look", workflow_serial=self._serial, reason=str(error))
                continue
            since = changes.read_at
            versions = _versions(changes)
            fresh = {key for key, version in versions.items() if seen is None or seen.get(key) != version}
            seen = versions
            if fresh:
                self._send(sse("change", change_document(changes, only=fresh), format_time(since)))
            elif loop.time() - beaten_at >= BEAT_SECONDS:
                self._send(sse("beat", {}, format_time(since)))
            else:
                continue
            beaten_at = loop.time()

    def _send(self, event: str) -> None:
        for queue in self._queues:
            if queue.full():  # a reader that is too slow begins anew
                _empty(queue)
                event = sse("reload", {})
            queue.put_nowait(event)


def _empty(queue: "asyncio.Queue[str]") -> None:
    with contextlib.suppress(asyncio.QueueEmpty):
        while True:
            queue.get_nowait()


def _changes(platform: Platform, serial: int, since: datetime) -> BoardChanges:
    return platform.server_for(ADMIN).board_changes(serial, since)


def _versions(changes: BoardChanges) -> dict[tuple[str, int], Any]:
    versions: dict[tuple[str, int], Any] = {
        (record.collection, record.serial): record.modified_at for record in (*changes.jobs, *changes.runs)
    }
    return versions | {(Workflow.collection, changes.workflow.serial): changes.workflow.occ_lock_version}


def _moment(text: str | None) -> datetime | None:
    try:
        return None if not text else parse_time(text).astimezone(UTC)
    except ValueError:
        return None
