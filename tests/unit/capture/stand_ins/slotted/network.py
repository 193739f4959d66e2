"""Files and folders of the stand-in's user data; the token is a string that names the folder."""

import os
from pathlib import Path


def list_files_and_folders_on_filestorage(token):
    folder = Path(os.environ["STAND_IN_HOME"]) / "user" / token[28:].replace(":", "/")
    items = sorted(folder.iterdir())
    return (
        [{"name": item.name} for item in items if item.is_file()],
        [{"virtual_name": item.name} for item in items if item.is_dir()],
    )


def virtualpath_join_file(folder, name):
    return f"{folder.rstrip('/')}/{name}"


virtualpath_join_folder = virtualpath_join_file
