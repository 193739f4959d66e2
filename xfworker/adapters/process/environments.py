"""
Virtual environments for scripts: one per set of dependency packages, made once.

An environment sees the packages of this interpreter behind its own, so that ``xfworkerutil`` is there without being
installed again. It is made in a folder of its own and counts when an entry points to it, so that a worker that dies on
the way, or two that make the same one, do no harm.
"""

import hashlib
import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import define

from xfworker.domain.errors import JobError

_INSTALL_SECONDS = 3600.0
_QUOTED_CHARACTERS = 2000


@define(frozen=True)
class Installation:
    """
    A dependency package to install.

    Attributes:
        name: Its name and version, for messages.
        command: Its install command; ``%xfpip%`` stands for pip in the environment.
        folder: Its files; the command starts there.
        digest: Of its content.
    """

    name: str
    command: str | None
    folder: Path | None
    digest: str


@define(frozen=True)
class Environment:
    """
    An environment in which scripts run.

    Attributes:
        python: The interpreter.
        variables: What it adds to the environment variables.
    """

    python: Path
    variables: Mapping[str, str]


class Environments:
    """A folder of virtual environments. Safe to use from several threads and processes."""

    def __init__(self, folder: Path, *, uv: str | None = None) -> None:
        """
        Take the folder.

        Args:
            folder: Where environments are made; it is made when it is first needed.
            uv: The uv program to make them with, or ``None`` for the standard library's way.
        """
        self._folder = folder
        self._uv = uv
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, installations: Sequence[Installation]) -> Environment:
        """
        Give the environment in which all of these are installed; nothing to install gives this interpreter's own.

        Raises:
            JobError: An install command failed; the message shows the end of what it wrote.
        """
        installable = [item for item in installations if item.command]
        if not installable:
            return Environment(Path(sys.executable), {})
        key = _key(installable)
        with self._lock_of(key):
            location = self._existing(key)
            if location is None:
                location = self._make(key, installable)
        return _environment(location)

    def sweep(self, *, older_than_seconds: float = 24 * 3600.0) -> None:
        """Remove what makers that died left behind."""
        if not self._folder.is_dir():
            return
        in_use = {self._existing(entry.stem) for entry in self._folder.glob("*.json")}
        for location in self._folder.iterdir():
            if (
                location.is_dir()
                and location not in in_use
                and time.time() - location.stat().st_mtime > older_than_seconds
            ):
                shutil.rmtree(location, ignore_errors=True)

    def _existing(self, key: str) -> Path | None:
        try:
            location = Path(json.loads((self._folder / f"{key}.json").read_text("utf-8"))["folder"])
        except (OSError, ValueError, KeyError):
            return None
        return location if _python(location).exists() else None

    def _make(self, key: str, installations: Sequence[Installation]) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        location = Path(tempfile.mkdtemp(prefix=f"{key[:16]}-", dir=self._folder))
        try:
            self._create(location)
            for installation in installations:
                self._install(location, installation)
        except BaseException:
            shutil.rmtree(location, ignore_errors=True)
            raise
        entry = location / "environment.json"
        packages = [item.name for item in installations]
        entry.write_text(json.dumps({"folder": str(location), "packages": packages}), "utf-8")
        entry.replace(self._folder / f"{key}.json")
        return location

    def _create(self, location: Path) -> None:
        if self._uv is not None:
            command = [self._uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(location)]
            _run(command, location, {}, "making a virtual environment")
        else:
            venv.EnvBuilder(with_pip=True, symlinks=sys.platform != "win32").create(location)
        (_site_packages(location) / "zz_xfworker.pth").write_text(
            "".join(f"import site; site.addsitedir({folder!r})\n" for folder in _own_folders()), "utf-8"
        )

    def _install(self, location: Path, installation: Installation) -> None:
        assert installation.command is not None
        pip = f'"{self._uv}" pip' if self._uv is not None else f'"{_python(location)}" -m pip'
        command = installation.command.replace("%xfpip%", pip).replace("%xfpython%", f'"{_python(location)}"')
        variables = {**_environment(location).variables, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        # The command is a line for the system's shell, by the definition of dependency packages.
        _run(command, installation.folder or location, variables, f"installing {installation.name}")

    def _lock_of(self, key: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(key, threading.Lock())


def find_uv() -> str | None:
    """Give the uv program where it is installed, beside this interpreter or on the path."""
    beside = Path(sys.executable).parent / ("uv.exe" if sys.platform == "win32" else "uv")
    return str(beside) if beside.exists() else shutil.which("uv")


def _run(command: str | Sequence[str], folder: Path, variables: Mapping[str, str], doing: str) -> None:
    # The worker's own token and settings are not for install commands.
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("XF_", "XFWORKER_"))}
    try:
        done = subprocess.run(  # noqa: S603  packages that an administrator checked in
            command,
            shell=isinstance(command, str),
            cwd=folder,
            env={**kept, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise JobError(f"{doing} failed: {error}") from error
    if done.returncode:
        end = done.stdout.decode("utf-8", "replace").strip()[-_QUOTED_CHARACTERS:]
        raise JobError(f"{doing} failed with exit code {done.returncode}; the end of its output: {end}")


def _key(installations: Sequence[Installation]) -> str:
    described = [
        sys.version,
        sys.executable,
        *sorted(f"{item.name}\0{item.command}\0{item.digest}" for item in installations),
    ]
    return hashlib.sha256("\n".join(described).encode()).hexdigest()


def _environment(location: Path) -> Environment:
    scripts = _python(location).parent
    path = os.pathsep.join([str(scripts), os.environ.get("PATH", "")]).rstrip(os.pathsep)
    return Environment(_python(location), {"VIRTUAL_ENV": str(location), "PATH": path})


def _python(location: Path) -> Path:
    return location / "Scripts" / "python.exe" if sys.platform == "win32" else location / "bin" / "python"


def _site_packages(location: Path) -> Path:
    if sys.platform == "win32":
        return location / "Lib" / "site-packages"
    return location / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _own_folders() -> list[str]:
    # Where this package itself comes from is among them, also when it runs from a source tree.
    own = Path(__file__).parents[3]
    paths = sysconfig.get_paths()
    folders = [paths["purelib"], paths["platlib"], *site.getsitepackages(), str(own)]
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    return [folder for folder in dict.fromkeys(folders) if Path(folder).is_dir()]
