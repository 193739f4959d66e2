"""Ports for servers of tests that take them as an option: chosen before they start."""

import random
import socket

# Below the ports that Linux, Windows and macOS hand out for port 0 and to clients: what is free there may be another
# process's in the next moment. SeaweedFS takes port + 10,000 too, which must be below them as well.
_PORTS = range(12_000, 22_000)
_ALSO = 10_000
_given = set()


def free_port():
    """Choose a port of 127.0.0.1 that nothing listens on, nor 10,000 above it; the same is never given twice."""
    while True:
        port = random.choice(_PORTS)
        if port not in _given and _takes(port) and _takes(port + _ALSO):
            _given.add(port)
            return port


def _takes(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
