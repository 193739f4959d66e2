"""What stands in for the modules ``threading`` and ``queue``: threads that are tasks of a simulated host."""

import queue
from collections import deque


class _Event:
    def __init__(self, timeline):
        self._timeline = timeline
        self._is_set = False
        self._waiting = []

    def is_set(self):
        return self._is_set

    def clear(self):
        self._is_set = False

    def set(self):
        self._is_set = True
        waiting, self._waiting = self._waiting, []
        for task, turn in waiting:
            if task.turn == turn and not task.ended:
                self._timeline.wake(task, 0.0)

    def wait(self, timeout=None):
        if not self._is_set:
            task = self._timeline.current
            task.host.require_alive()
            if timeout is not None and self._timeline.pass_alone(timeout):
                return False
            self._waiting.append((task, task.turn))
            if timeout is not None:
                self._timeline.wake(task, timeout)
            self._timeline.switch_to_next()
        return self._is_set


class _Lock:
    """Tasks take turns only where they wait, and no service waits while it holds a lock: that is checked here."""

    def __init__(self):
        self._held = 0

    def __enter__(self):
        if self._held:
            raise RuntimeError("a task waited while it held a lock")
        self._held += 1
        return self

    def __exit__(self, *error):
        self._held -= 1


class _RLock:
    """A lock that a task may wait with, such as for an answer, while others of its process wait for the lock."""

    def __init__(self, timeline):
        self._timeline = timeline
        self._holder = None
        self._depth = 0
        self._released = _Event(timeline)

    def __enter__(self):
        task = self._timeline.current
        while self._depth and self._holder is not task:
            self._released.clear()
            self._released.wait()
        self._holder = task
        self._depth += 1
        return self

    def __exit__(self, *error):
        self._depth -= 1
        if not self._depth:
            self._released.set()


class _Queue:
    """Hands things from task to task, as ``queue.SimpleQueue`` does from thread to thread."""

    def __init__(self, timeline):
        self._items = deque()
        self._came = _Event(timeline)

    def put(self, item):
        self._items.append(item)
        self._came.set()

    def get(self):
        while not self._items:
            self._came.clear()
            self._came.wait()
        return self._items.popleft()

    def get_nowait(self):
        if not self._items:
            raise queue.Empty
        return self._items.popleft()


class Queues:
    """Stands in for the module ``queue``."""

    Empty = queue.Empty

    def __init__(self, timeline):
        self._timeline = timeline

    def SimpleQueue(self):  # noqa: N802  as in the module queue
        return _Queue(self._timeline)


class _Thread:
    def __init__(self, timeline, target, args=(), name="", **_):
        self._timeline = timeline
        self._work = target, args
        self._name = name
        self._ended = _Event(timeline)

    def start(self):
        host = self._timeline.current.host
        self._timeline.spawn(host, self._run, f"{host.name}/{self._name}")

    def _run(self):
        target, args = self._work
        try:
            target(*args)
        finally:
            self._ended.set()

    def join(self):
        self._ended.wait()


class Threads:
    """Stands in for the module ``threading``."""

    def __init__(self, timeline):
        self._timeline = timeline

    def Thread(self, **options):  # noqa: N802  as in the module threading
        return _Thread(self._timeline, **options)

    def Event(self):  # noqa: N802  as in the module threading
        return _Event(self._timeline)

    def Lock(self):  # noqa: N802  as in the module threading
        return _Lock()

    def RLock(self):  # noqa: N802  as in the module threading
        return _RLock(self._timeline)

    def Timer(self, seconds, call):  # noqa: N802  as in the module threading
        def later():
            self._timeline.sleep(seconds)
            call()

        return _Thread(self._timeline, later, name="timer")
