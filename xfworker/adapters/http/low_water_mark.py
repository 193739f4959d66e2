"""How much must have arrived on a connection before a reader that waits is woken."""

import socket
import sys
from contextlib import suppress

from urllib3 import BaseHTTPResponse

_FEWEST = 1


class LowWaterMark:
    """
    The receive low-water mark of a plain connection (``SO_RCVLOWAT``, socket(7)).

    A fast link wakes its reader for every few segments, and each time both sides change places on the processor. Woken
    for half a mebibyte at a time, they move a file with a tenth less computing. The mark belongs to the connection, not
    to the answer: it has to be lowered before the end of a body, beyond which nothing comes, and before another
    request uses the connection.
    """

    def __init__(self, response: BaseHTTPResponse) -> None:
        """Take the connection of an answer. Where its mark cannot be used (TLS, other systems), it stays as it is."""
        connection = getattr(response, "_connection", None)
        sock = getattr(connection, "sock", None)
        # TLS hands out records, whose ends have nothing to do with what the reader waits for.
        self._socket = sock if sys.platform == "linux" and type(sock) is socket.socket else None
        self._height = _FEWEST

    def raise_to(self, count: int) -> None:
        """Wake the reader for no less than so many bytes."""
        if self._socket is not None and count != self._height:
            with suppress(OSError):  # the connection is gone, as whoever reads will notice
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
            self._height = count

    def lower(self) -> None:
        """Wake the reader for every byte again."""
        self.raise_to(_FEWEST)
