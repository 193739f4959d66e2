"""What a task script works with: its server, its files, its disk, its images, its clock, and who it is."""

from typing import TYPE_CHECKING

from attrs import define

from xfworker.domain.job_arguments import JobArguments
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore
from xfworker.ports.filesystem import Filesystem
from xfworker.ports.xf_server import XFServer

if TYPE_CHECKING:
    # A script that opens no image does not wait for what describes them.
    from xfworker.ports.image_codec import ImageFormats
    from xfworker.services.transfers.transfers import Transfers


@define(kw_only=True, eq=False)
class Session:
    """
    One script's ports, chosen by :mod:`xfworker.api.composition.session` or passed in.

    Attributes:
        server: The XF Server, with the script's rights.
        files: The file store.
        filesystem: The local disks.
        images: The image formats.
        clock: The time.
        arguments: Which job this is.
    """

    server: XFServer
    files: FileStore
    filesystem: Filesystem
    images: "ImageFormats"
    clock: Clock
    arguments: JobArguments

    @property
    def transfers(self) -> "Transfers":
        """Moves files between the store and this machine."""
        # A script that moves no file does not wait for what that needs.
        from xfworker.services.transfers.transfers import Transfers

        return Transfers(self.files, self.filesystem, self.clock)

    def close(self) -> None:
        """Let go of connections."""
        self.files.close()
        self.server.close()
