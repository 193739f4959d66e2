"""The pilots of a server, as one computer submits, lists and cancels them."""

from pathlib import Path

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.process.private_folder import private_folder
from xfworker.api.composition.batch_systems import batch_systems
from xfworker.api.composition.submitted_pilots import PilotsFile
from xfworker.ports.xf_server import XFServer
from xfworker.services.pilots.pilots import Pilots


def pilots_of(server: XFServer, location: str, data: Path) -> Pilots:
    """
    Give the pilots of a server.

    Args:
        server: The server.
        location: Its address, or its data folder, as pilots get it.
        data: The folder in which what was submitted is kept.
    """
    return Pilots(
        server=server,
        submitted=PilotsFile(private_folder(private_folder(data) / "pilots"), location),
        systems=batch_systems(),
        clock=SystemClock(),
    )
