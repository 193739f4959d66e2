"""
What a process has only one of, as a script begins with it and as a test finds it again: umask, signals, logging, ...

A script that runs inside the test's process may change all of it, as it may in a process of its own.
"""

import contextlib
import decimal
import gc
import locale
import logging
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

_NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
"""How numpy begins."""


@contextlib.contextmanager
def own_process_state() -> Iterator[None]:
    """
    Let a block begin with the state of a new process, and put back the state of this one at its end.

    The umask and the seeds are as the test left them, so that a test can choose them; all else is as in a new process.
    """
    with contextlib.ExitStack() as stack:
        for put_back in (_umask(), _limits(), _seeds(), _decimal(), _logging(), _numpy(), _signals(), _time_zone()):
            stack.callback(put_back)
        yield


def _umask() -> Callable[[], object]:
    # There is no other way to read it than to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return lambda: os.umask(mask)


def _limits() -> Callable[[], object]:
    recursion, switch, timeout = sys.getrecursionlimit(), sys.getswitchinterval(), socket.getdefaulttimeout()
    collects, words = gc.isenabled(), locale.setlocale(locale.LC_ALL)

    def put_back() -> None:
        sys.setrecursionlimit(recursion)
        sys.setswitchinterval(switch)
        socket.setdefaulttimeout(timeout)
        (gc.enable if collects else gc.disable)()
        locale.setlocale(locale.LC_ALL, words)

    return put_back


def _seeds() -> Callable[[], object]:
    state = random.getstate()
    return lambda: random.setstate(state)


def _decimal() -> Callable[[], object]:
    context = decimal.getcontext()
    decimal.setcontext(decimal.DefaultContext.copy())
    return lambda: decimal.setcontext(context)


def _logging() -> Callable[[], object]:
    root, disabled = logging.getLogger(), logging.root.manager.disable
    before = {logger: _logger_state(logger) for logger in (root, *_loggers())}
    # The test run's handlers would make `basicConfig` do nothing, which it does under a worker.
    last = logging.lastResort
    last_before = None if last is None else (last.level, last.formatter)
    root.handlers = []
    root.setLevel(logging.WARNING)
    logging.disable(logging.NOTSET)

    def put_back() -> None:
        new = {"level": logging.NOTSET, "handlers": [], "filters": [], "propagate": True, "disabled": False}
        for logger in (root, *_loggers()):
            for name, value in before.get(logger, new).items():
                setattr(logger, name, list(value) if isinstance(value, list) else value)
        logging.lastResort = last
        if last is not None and last_before is not None:
            last.setLevel(last_before[0])
            last.setFormatter(last_before[1])
        logging.disable(disabled)
        root.setLevel(before[root]["level"])

    return put_back


def _loggers() -> list[logging.Logger]:
    named = list(logging.root.manager.loggerDict.values())
    return [logger for logger in named if isinstance(logger, logging.Logger)]


def _logger_state(logger: logging.Logger) -> dict[str, Any]:
    return {
        "level": logger.level,
        "handlers": list(logger.handlers),
        "filters": list(logger.filters),
        "propagate": logger.propagate,
        "disabled": logger.disabled,
    }


def _numpy() -> Callable[[], object]:
    # Whoever does not use numpy must not load it.
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return _reset_numpy
    errors, shown, on_error = numpy.geterr(), numpy.get_printoptions(), numpy.geterrcall()
    state = numpy.random.get_state()
    numpy.seterr(**_NUMPY_ERRORS)

    def put_back() -> None:
        numpy.seterr(**errors)
        numpy.seterrcall(on_error)
        numpy.set_printoptions(**shown)
        numpy.random.set_state(state)

    return put_back


def _reset_numpy() -> None:
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.seterr(**_NUMPY_ERRORS)
        numpy.random.seed()


def _signals() -> Callable[[], object]:
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}

    def put_back() -> None:
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    mask: Collection[int] = ()
    if sys.platform != "win32":
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return put_back


def _time_zone() -> Callable[[], object]:
    # The environment is put back by others; this makes the C library look at it again.
    return getattr(time, "tzset", lambda: None)
