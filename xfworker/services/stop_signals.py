"""The signals by which a person or the system asks a program to stop."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue


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


@contextmanager
def receiving_stop_signals(receive: Callable[[str], None]) -> Iterator[None]:
    """
    Tell a thread of its own the name of each signal that asks to stop, while the block runs in the main thread.

    What a handler calls itself must wait for no lock: the main thread, which it interrupts, may hold it, be it that of
    the log or of an event, and would never go on to let go of it.
    """
    names: SimpleQueue[str | None] = SimpleQueue()

    def tell() -> None:
        while (name := names.get()) is not None:
            receive(name)

    thread = threading.Thread(target=tell, name="stop-signals", daemon=True)
    thread.start()
    before = {
        number: signal.signal(number, lambda received, _: names.put(signal.Signals(received).name))
        for number in stop_signals()
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        names.put(None)
        thread.join()
