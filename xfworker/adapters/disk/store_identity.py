"""What tells a store's folder from others, wherever computers have mounted it."""

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from xfworker.adapters.disk.file_modes import FileModes
from xfworker.adapters.transfer.partial_file import for_owner

_LENGTH = 16
_STEP_SECONDS = 0.05
_STEPS = 40


def store_identity(folder: Path, modes: FileModes) -> str:
    """
    Give the identity that is kept in a folder; where there is none, one is made, and only once by however many ask.

    Raises:
        OSError: It can be neither read nor made.
    """
    modes.make_folders(folder)
    path = folder / "identity"
    with suppress(FileExistsError), open(path, "x", encoding="ascii", opener=for_owner) as file:
        file.write(secrets.token_hex(_LENGTH // 2))
        file.flush()
        os.fsync(file.fileno())
        modes.set_on_file(path)
    for _ in range(_STEPS):
        identity = path.read_text("ascii")
        if len(identity) == _LENGTH:
            break
        time.sleep(_STEP_SECONDS)  # whoever makes it is about to write it
    return identity
