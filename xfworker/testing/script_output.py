"""What a script that runs inside this process writes: kept in its log, and shown where the test shows its output."""

import io
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from xfworker.adapters.process.script_log import ScriptLog

if TYPE_CHECKING:
    from typing_extensions import Buffer
else:
    Buffer = bytes


class ScriptOutput:
    """
    Stands in for stdout and stderr of a script.

    Attributes:
        stream: What the script writes to.
        threads_before: The threads that ran before the script did.
    """

    stream: TextIO

    def __init__(self, log_path: Path, on_output: Callable[[bytes], None] | None) -> None:
        """Open the log."""
        self._log = ScriptLog(log_path)
        self._tee = _Tee(self._log, on_output, sys.stdout)
        self.stream = io.TextIOWrapper(self._tee, "utf-8", "backslashreplace", newline="\n", write_through=True)
        self.threads_before = frozenset(threading.enumerate())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stream.flush()
        self._tee.end()
        self._log.close()


class _Tee(io.BufferedIOBase):
    def __init__(self, log: ScriptLog, on_output: Callable[[bytes], None] | None, console: TextIO) -> None:
        self._log = log
        self._on_output = on_output
        self._console: TextIO | None = console
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return "<script output>"

    def writable(self) -> bool:
        return True

    def write(self, piece: Buffer) -> int:
        content = bytes(piece)
        with self._lock:
            # What a script's daemon threads write after its end is lost, as it is with a process.
            if self._console is not None:
                self._log.write(content)
                self._console.write(content.decode("utf-8", "replace"))
                self._show(content)
        return len(content)

    def _show(self, content: bytes) -> None:
        if self._on_output is None:
            return
        try:
            self._on_output(content)
        except Exception:  # noqa: BLE001  of whatever it is, the script must not be the victim
            self._on_output = None

    def end(self) -> None:
        with self._lock:
            self._console = None
