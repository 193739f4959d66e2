"""Files and folders of the stand-in's user data, as rows."""

import os
from pathlib import Path

from xfworkerutil import Row


def list_files_and_folders_on_filestorage(token):
    folder = Path(os.environ["STAND_IN_HOME"]) / "user/scans"
    rows = tuple(Row(name=path.name) for path in sorted(folder.iterdir()) if path.is_file())
    return rows, ()


def virtualpath_join_file(folder, name):
    return f"{folder}/{name}"
