"""The real server in a thread of this process, so that a story can look behind it and move its clock."""

import asyncio
import threading
from contextlib import contextmanager
from pathlib import Path

from attrs import define
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.partial_uploads import PartialUploads
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.web.app import create_app
from xfworker.adapters.web.fss.service import FileStorageService, fss_handler
from xfworker.adapters.web.serving import free_address
from xfworker.api.composition.platform import memory_platform
from xfworker.services.platform.platform import Platform


@define
class Served:
    """
    A server.

    Attributes:
        url: Where it listens.
        platform: What it serves.
        files: Its files.
        folder: Where they lie.
        clock: Its clock, which stands still until it is moved.
    """

    url: str
    platform: Platform
    files: FolderFileStore
    folder: Path
    clock: ManualClock


@contextmanager
def served(folder):
    """Serve records in memory, and files in a folder, on a free port of loopback."""
    clock, files = ManualClock(), FolderFileStore(folder, fsync=False)
    platform = memory_platform(clock, files=files)
    app = create_app(platform, routes=[fss_handler(FileStorageService(files, PartialUploads(files), platform))])
    address, port = free_address("127.0.0.1", 0)
    listens, loops = threading.Event(), []
    server = Server(app, address, port, interface=Interfaces.ASGI, http=HTTPModes.http1, log_enabled=False)

    async def serve():
        loops.append(asyncio.get_running_loop())
        serving = asyncio.create_task(server.serve())
        while True:
            try:
                _, writer = await asyncio.open_connection(address, port)
            except OSError:
                await asyncio.sleep(0.005)
                continue
            writer.close()
            listens.set()
            return await serving

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert listens.wait(30.0)
    try:
        yield Served(f"http://{address}:{port}", platform, files, folder, clock)
    finally:
        loops[0].call_soon_threadsafe(server.stop)
        thread.join(30.0)
        platform.close()
