"""New packages: folders to be filled in. A dependency package passes the check once it says what is installed."""

import json
from pathlib import Path

from xfworker.domain.errors import UsageError
from xfworker.domain.package import INTERFACE_FILENAME, METADATA_FILENAME, PLACEHOLDER, TASKS_FILENAME, PackageFormat

_SCRIPT = '''"""What this task type does, in one sentence."""

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]

image = worker.get_omni_image(inputs["image"])
worker.progress(50)

worker.finish({"mean": float(image.pixels[:].mean())})
'''
_INTERFACE = {
    "inputs": [
        {
            "key": "image",
            "type": "Image",
            "supported_modes": ["output", "define_on_first", "ui"],
            "description": "The image to look at.",
        }
    ],
    "outputs": [{"key": "mean", "type": "Float", "description": "Mean of the raw pixel values."}],
}
_TASKS = {"tasks": [{"name": "First task", "task_type": {"name": "Lab.Example", "version": "1.0.0.0"}, "inputs": {}}]}


def new_package(folder: Path, name: str, package_format: PackageFormat) -> list[Path]:
    """
    Make a package folder.

    Args:
        folder: The folder; made where needed, and empty.
        name: The package's name.
        package_format: What kind of package.

    Returns:
        The files that were written.

    Raises:
        UsageError: The folder holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already and not empty; name a new folder")
    metadata = {"package_format": package_format.value, "name": name, "version": "1.0.0.0", "summary": ""}
    files: dict[str, str] = {}
    if package_format is PackageFormat.DEPENDENCY:
        files[METADATA_FILENAME] = _json({**metadata, "install": f"%xfpip% install {PLACEHOLDER}", "dependencies": []})
    else:
        files[METADATA_FILENAME] = _json(metadata)
    if package_format is PackageFormat.TASK_TYPE:
        files |= {INTERFACE_FILENAME: _json(_INTERFACE), "main.py": _SCRIPT}
    if package_format is PackageFormat.WORKFLOW:
        files[TASKS_FILENAME] = _json(_TASKS)
    folder.mkdir(parents=True, exist_ok=True)
    for filename, text in files.items():
        (folder / filename).write_text(text, "utf-8", newline="\n")
    return [folder / filename for filename in files]


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
