"""Standard error for programs that go on when nobody reads it any more (``xfworker run ... 2>&1 | head``)."""

import contextlib
import os
from typing import Any, TextIO


class KeptStderr:
    """
    Writes to a stream, and drops what nobody reads.

    A job that runs, or a server that answers, is worth more than the messages about it.
    """

    def __init__(self, stream: TextIO) -> None:
        """Take the stream."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or drop the text where the reader is gone."""
        try:
            return self._stream.write(text)
        except OSError:
            discard(self._stream)
            return len(text)

    def flush(self) -> None:
        """Pass on what is held back, or drop it where the reader is gone."""
        try:
            self._stream.flush()
        except OSError:
            discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def discard(stream: TextIO) -> None:
    """Send what is still to be written to a stream nowhere, because nobody reads it any more."""
    # A stream that is not a file has nothing that could be sent elsewhere.
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
