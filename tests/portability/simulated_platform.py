"""
A plugin of pytest that makes Linux look like another system to this project.

``XFWORKER_TEST_PLATFORM`` names it, ``darwin`` or ``win32``. What the standard library and other packages need of Linux
they have got by then; what this project asks for afterwards is what that system has.
"""

import ctypes
import importlib
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any

VARIABLE = "XFWORKER_TEST_PLATFORM"
_LINUX_ONLY: dict[ModuleType, tuple[str, ...]] = {
    os: (
        *("copy_file_range", "eventfd", "eventfd_read", "eventfd_write", "fdatasync", "getrandom", "getresgid"),
        *("getresuid", "getxattr", "listxattr", "removexattr", "setxattr", "memfd_create", "pidfd_open", "pipe2"),
        *("posix_fadvise", "posix_fallocate", "sched_getaffinity", "sched_setaffinity", "setns", "setresgid"),
        *("setresuid", "splice", "unshare", "O_DIRECT", "O_TMPFILE", "O_PATH", "POSIX_FADV_DONTNEED"),
    ),
    signal: ("pidfd_send_signal", "sigtimedwait", "sigwaitinfo"),
    select: ("epoll",),
    socket: ("SO_PEERCRED", "TCP_QUICKACK", "TCP_USER_TIMEOUT", "SO_BINDTODEVICE", "MSG_NOSIGNAL"),
}
_POSIX_ONLY: dict[ModuleType, tuple[str, ...]] = {
    os: (
        *("chown", "lchown", "fchown", "fchmod", "fork", "forkpty", "register_at_fork", "wait", "wait3", "wait4"),
        *("waitid", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getgrouplist", "setuid", "setgid"),
        *("setgroups", "initgroups", "setsid", "getsid", "getpgid", "getpgrp", "setpgid", "killpg", "nice"),
        *("getpriority", "setpriority", "mkfifo", "mknod", "openpty", "pread", "pwrite", "preadv", "pwritev", "readv"),
        *("writev", "sendfile", "sync", "uname", "lockf", "posix_spawn", "getloadavg"),
        *("sysconf", "chroot", "tcgetpgrp", "ttyname", "WNOHANG"),
        *("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_DIRECTORY", "O_SYNC", "O_DSYNC"),
    ),
    signal: (
        *("SIGHUP", "SIGKILL", "SIGCHLD", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGQUIT", "SIGBUS", "SIGXCPU"),
        *("SIGTSTP", "SIGCONT", "SIGSTOP", "SIGWINCH", "ITIMER_REAL", "alarm", "setitimer", "getitimer", "pause"),
        *("pthread_kill", "pthread_sigmask", "sigwait", "sigpending", "siginterrupt", "SIG_BLOCK", "SIG_SETMASK"),
    ),
    socket: ("AF_UNIX", "send_fds", "recv_fds", "SO_REUSEPORT", "sethostname"),
    select: ("poll", "epoll"),
}
_POSIX_MODULES = ("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "syslog")
_LINUX_CALLS = frozenset({"mallopt", "prctl", "fallocate64", "sync_file_range", "malloc_trim"})
_LIBRARIES = (
    *("asyncio", "concurrent.futures.thread", "http.server", "multiprocessing.reduction", "socketserver", "subprocess"),
    *("urllib.request", "uuid", "webbrowser", "zipfile", "psutil", "numpy", "PIL.Image", "rich.console", "urllib3"),
    *("structlog", "cyclopts", "litestar", "litestar.testing", "granian", "sqlalchemy", "psycopg", "alembic.command"),
    *("obstore", "nibabel", "tifffile", "pydicom", "zarr", "pandas", "argon2", "joserfc", "jinja2", "dask.array"),
    "distributed",
)


def simulate(system: str) -> None:
    """Take from this process what ``system`` does not have, and call it that; libraries are imported before."""
    for library in _LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(library)
    _take(_LINUX_ONLY)
    if system == "win32":
        _take(_POSIX_ONLY)
        for name in _POSIX_MODULES:
            sys.modules[name] = None  # type: ignore[assignment]  # importing it is an error from now on
    ctypes.CDLL = _CLibraryOfWindows if system == "win32" else _CLibraryOfMacOS  # type: ignore[misc]
    sys.platform = system


class _CLibraryOfMacOS(ctypes.CDLL):
    def __getattr__(self, name: str) -> Any:
        if name in _LINUX_CALLS:
            raise AttributeError(f"function {name} not found")
        return super().__getattr__(name)


class _CLibraryOfWindows(ctypes.CDLL):
    def __init__(self, name: str | None, *arguments: Any, **options: Any) -> None:
        if name is None:
            raise TypeError("bad argument type for built-in operation")
        super().__init__(name, *arguments, **options)


def _take(names: dict[ModuleType, tuple[str, ...]]) -> None:
    for module, taken in names.items():
        for name in taken:
            if hasattr(module, name):
                delattr(module, name)


def pytest_configure() -> None:
    simulate(os.environ[VARIABLE])
