"""The temporary working directory as scripts make and use it."""

import os

from xfworker.ports.filesystem import Filesystem
from xfworker.services.script.working_directory import WorkingDirectory


class TemporaryWorkingDirectory(WorkingDirectory):
    """
    A temporary directory for the files of one job.

    It is made at once, under the folder of ``XFTEMP`` or the platform's temporary folder, and stays until
    :meth:`remove` is called, so that a failure can be looked into.

    Attributes:
        path: The directory.
    """

    def __init__(self, prefix: str) -> None:
        """
        Make the directory.

        Args:
            prefix: What its name begins with.

        Raises:
            InvalidFilename: It cannot be the beginning of one safe file name.
            ConfigurationError: The temporary folder is missing or not writable.
        """
        from xfworker.api.composition.local_filesystem import local_filesystem
        from xfworker.api.settings.file import load_settings

        super().__init__(local_filesystem(load_settings().settings, os.environ), prefix)

    @classmethod
    def on(cls, filesystem: Filesystem, prefix: str) -> "TemporaryWorkingDirectory":
        """Make the directory on a given file system."""
        made = cls.__new__(cls)
        WorkingDirectory.__init__(made, filesystem, prefix)
        return made
