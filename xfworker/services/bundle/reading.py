"""Opens a bundle, with suspicion: it may be damaged, and it may come from anybody."""

from pathlib import Path

from xfworker.domain.errors import UsageError
from xfworker.services.bundle.manifest import MANIFEST, BundledFile, Manifest, read_manifest
from xfworker.services.sealed_archive import SealedArchive, write_whole

_LARGEST_MANIFEST = 256 * 1024 * 1024


class OpenBundle(SealedArchive):
    """
    A bundle that is open for reading; use it in a ``with`` block.

    Attributes:
        path: The file.
        manifest: What is in it.
    """

    manifest: Manifest

    def __init__(self, path: Path) -> None:
        """
        Open a bundle and read its manifest; every file's size is checked against it.

        Raises:
            UsageError: There is no such file, it is not a bundle, or it is damaged.
        """
        super().__init__(path, "bundle", "make one with: xfworker job bundle SERIAL")
        try:
            self.manifest = self._read_manifest()
        except BaseException:
            self.close()
            raise

    def extract(self, file: BundledFile, target: Path) -> None:
        """
        Write one file's content; ``target`` appears only when complete and verified.

        Raises:
            ChecksumMismatch: The content is not what the manifest says.
        """
        pieces = self._pieces(
            file.entry,
            file.size,
            file.sha256,
            called=str(file.resource),
            otherwise="it was when the bundle was made; it is damaged",
        )
        write_whole(pieces, target)

    def _read_manifest(self) -> Manifest:
        entries = self._entries()
        manifest = read_manifest(self._manifest_content(entries, MANIFEST, _LARGEST_MANIFEST), str(self.path))
        for file in manifest.files:
            if file.entry not in entries or entries[file.entry].file_size != file.size:
                raise UsageError(f"{self.path} is damaged: {file.resource} in it is missing or has another size")
        return manifest
