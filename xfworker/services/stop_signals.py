"""The signals by which a person or the system asks a program to stop."""

import signal
import sys


def stop_signals() -> list[signal.Signals]:
    """
    Give them, for this system.

    A terminal that is closed is a request like any other, unless the program was started with nohup. Windows has no
    SIGTERM to send; its twin is Ctrl-Break, which goes to a process group as a service manager or a worker sends it.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":  # pragma: no cover - what differs on Windows is tested there
        numbers.append(signal.SIGBREAK)
    elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers
