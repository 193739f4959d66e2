"""The file that keeps what a script writes, while it writes."""

import contextlib
from collections import deque
from pathlib import Path
from typing import BinaryIO

_PIECE_BYTES = 64 * 1024
_MOST_OVERWRITTEN_BYTES = 1024 * 1024
"""So much of the end is looked through for whole lines: a progress bar writes over one line thousands of times."""
_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))


class ScriptLog:
    """
    Appends a script's output to a file; what exceeds the limit is left out, except for the end.

    A script that writes without end must fill neither the disk nor the server. A disk that is full must not stop the
    script, so errors of writing are kept and no more.
    """

    def __init__(self, path: Path, *, limit_bytes: int = 256 * 1024 * 1024, tail_bytes: int = 1024 * 1024) -> None:
        """
        Open the file for appending.

        Args:
            path: The file.
            limit_bytes: So much is written as it comes.
            tail_bytes: So much of the rest is kept and written at the end.
        """
        self._file: BinaryIO | None = path.open("ab", buffering=0)
        self._room = limit_bytes
        self._tail: deque[bytes] = deque()
        self._tail_room = tail_bytes
        self._tail_size = 0
        self._left_out = 0

    def write(self, piece: bytes) -> None:
        """Keep a piece of output."""
        if self._room > 0:
            self._append(piece[: self._room])
            self._room, piece = self._room - len(piece), piece[max(self._room, 0) :]
        for start in range(0, len(piece), _PIECE_BYTES):
            self._keep(piece[start : start + _PIECE_BYTES])

    def close(self) -> None:
        """Write what was kept of the end, and close the file; later writes are ignored."""
        if self._left_out:
            self._append(f"\n[xfworker: {self._left_out} bytes of output left out here]\n".encode())
        for piece in self._tail:
            self._append(piece)
        self._tail.clear()
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()

    def _keep(self, piece: bytes) -> None:
        self._tail.append(piece)
        self._tail_size += len(piece)
        while self._tail_size - len(self._tail[0]) >= self._tail_room:
            dropped = len(self._tail.popleft())
            self._tail_size -= dropped
            self._left_out += dropped

    def _append(self, piece: bytes) -> None:
        if self._file is None:
            return
        view = memoryview(piece)
        try:
            while view:
                view = view[self._file.write(view) or 0 :]
        except OSError:
            # The disk is full or gone. The script matters more than its log.
            self._room = 0


def read_end(path: Path, *, lines: int = 30, most_characters: int = 16 * 1024) -> str:
    r"""
    Give the last lines of a log as a terminal would show them; an empty string where there is none.

    Of a line that was written over again and again (a progress bar with ``\r``) only the last state counts.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(0, size - _MOST_OVERWRITTEN_BYTES)
            file.seek(start)
            content = file.read(size - start)
    except OSError:
        return ""
    if start:
        # The first bytes may be the rest of a character.
        content = content.lstrip(_CONTINUATION_BYTES)
    visible = [last_state(line) for line in content.decode("utf-8", "replace").removesuffix("\n").split("\n")]
    return "\n".join(visible[-lines:])[-most_characters:]


def last_state(line: str) -> str:
    """Give what a terminal shows of a line: what follows the last carriage return that is followed by anything."""
    return line.rstrip("\r").rpartition("\r")[2]
