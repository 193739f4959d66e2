"""Whether this system lets a test make symbolic links: Windows asks for a privilege, and wine makes none."""

import tempfile
from pathlib import Path

import pytest


def _can_be_made() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "link")
        try:
            link.symlink_to(folder)
        except OSError:
            return False
        return link.is_symlink()


needs_symbolic_links = pytest.mark.skipif(not _can_be_made(), reason="symbolic links cannot be made here")
