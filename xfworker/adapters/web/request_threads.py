"""Threads in which requests do what would hold up the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class RequestThreads:
    """A number of threads, started as they are needed."""

    def __init__(self, most: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(most, name)

    async def run(self, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """Do some work in one of the threads, so that other requests go on; it goes on where nobody waits any more."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()
        # asyncio.to_thread and anyio have the loop woken through one more future, for half as much CPU again.
        self._threads.submit(copy_context().run, _deliver, partial(work, *args, **kwargs), done, loop)
        return await done


def _deliver(work: Callable[[], Result], done: "asyncio.Future[Result]", loop: asyncio.AbstractEventLoop) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001  it is raised where the work is waited for
        loop.call_soon_threadsafe(_end, done, done.set_exception, error)
    else:
        loop.call_soon_threadsafe(_end, done, done.set_result, result)


def _end(done: "asyncio.Future[Any]", end: Callable[[Any], None], with_what: Any) -> None:
    if not done.cancelled():  # nobody waits for it any more
        end(with_what)
