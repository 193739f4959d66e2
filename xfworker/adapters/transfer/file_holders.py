"""Which programs have a file open, as Windows knows it: its Restart Manager, by which installers ask the same."""

import ctypes
import os
import sys

_KEY_CHARACTERS = 33
_MOST = 16


class _UniqueProcess(ctypes.Structure):
    _fields_ = (("dwProcessId", ctypes.c_uint32), ("ProcessStartTime", ctypes.c_uint32 * 2))


class _ProcessInfo(ctypes.Structure):
    _fields_ = (
        ("Process", _UniqueProcess),
        ("strAppName", ctypes.c_wchar * 256),
        ("strServiceShortName", ctypes.c_wchar * 64),
        ("ApplicationType", ctypes.c_int),
        ("AppStatus", ctypes.c_uint32),
        ("TSSessionId", ctypes.c_uint32),
        ("bRestartable", ctypes.c_int),
    )


def file_holders(path: str) -> list[str]:
    """
    Name the programs that have a file open, this process as such; nothing where that cannot be known.

    On a network share Windows knows of this computer's programs only.
    """
    if sys.platform != "win32":
        return []
    try:
        manager = ctypes.WinDLL("rstrtmgr")
        session = ctypes.c_uint32()
        key = ctypes.create_unicode_buffer(_KEY_CHARACTERS)
        if manager.RmStartSession(ctypes.byref(session), 0, key):
            return []
        try:
            files = (ctypes.c_wchar_p * 1)(path)
            if manager.RmRegisterResources(session, 1, files, 0, None, 0, None):
                return []
            needed, count, reasons = ctypes.c_uint32(), ctypes.c_uint32(_MOST), ctypes.c_uint32()
            listed = (_ProcessInfo * _MOST)()
            if manager.RmGetList(session, ctypes.byref(needed), ctypes.byref(count), listed, ctypes.byref(reasons)):
                return []
            return [_named(item) for item in listed[: count.value]]
        finally:
            manager.RmEndSession(session)
    except (OSError, AttributeError):
        return []


def _named(item: _ProcessInfo) -> str:
    pid = item.Process.dwProcessId
    if pid == os.getpid():
        return "this process"
    return f"{item.strAppName or 'a program'} (process {pid})"
