"""Files and folders of the stand-in's user data."""

import os
from pathlib import Path


def list_files_and_folders_on_filestorage(token):
    folder = Path(os.environ["STAND_IN_HOME"]) / "user" / token.scopes[0][1]
    items = sorted(folder.iterdir())
    files = [{"name": item.name, "bytes": item.stat().st_size} for item in items if item.is_file()]
    return files, [{"virtual_name": item.name} for item in items if item.is_dir()]


def virtualpath_join_file(folder, name):
    return f"{folder.rstrip('/')}/{name}"


def virtualpath_join_folder(folder, virtual_name):
    return f"{folder.rstrip('/')}/{virtual_name}/"
