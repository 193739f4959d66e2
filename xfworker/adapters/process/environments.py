"""
Virtual environments for scripts: one per set of dependency packages, made once.

An environment sees the packages of this interpreter behind its own, so that ``xfworkerutil`` is there without being
installed again. It is made in a folder of its own and counts when an entry points to it, so that a worker that dies on
the way, or two that make the same one, do no harm. Several workers that share the folder, also on several machines,
make each once: the others wait for a lock, where the file system has locks. Once made it is read-only.
"""

import hashlib
import json
import os
import queue
import re
import signal
import site
import stat
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, distributions, requires
from pathlib import Path
from typing import IO

from attrs import define

from xfworker.adapters.process.file_lock import try_lock, wait_for_lock
from xfworker.adapters.process.script_user import ScriptUser
from xfworker.domain.errors import JobError
from xfworker.services.files_in_use import when_free
from xfworker.services.packages.manifest import is_whole, write_manifest
from xfworker.services.packages.read_only import make_read_only, remove_read_only
from xfworker.services.worker.script_environment import allowed_variables

Report = Callable[[bytes], None]
"""Gets what install commands write, piece by piece."""

_INSTALL_SECONDS = 3600.0
_QUOTED_LINES = 20
_SILENT_SECONDS = 1.0
_OF_INSTALLERS = ("PIP_*", "CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS")
_FLOOR = re.compile(r"(?P<name>[A-Za-z0-9._-]+)>=(?P<version>\d+(?:\.\d+)*)")


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

    def __init__(
        self, folder: Path, *, variables: Mapping[str, str] | None = None, user: ScriptUser | None = None
    ) -> None:
        """
        Take the folder.

        Args:
            folder: Where environments are made; it is made when it is first needed.
            variables: The environment variables that install commands get, beside those that are about installing;
                what scripts get by default.
            user: As whom install commands run; as this process's own user by default.
        """
        self._folder = folder
        self._variables = {
            **allowed_variables(os.environ, _OF_INSTALLERS),
            **(variables or {}),
            **({} if user is None else user.variables),
        }
        self._user = user
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, installations: Sequence[Installation], report: Report | None = None) -> Environment:
        """
        Give the environment in which all of these are installed; nothing to install gives this interpreter's own.

        Args:
            installations: What is to be installed, in this order.
            report: Gets what the commands write.

        Raises:
            JobError: An install command failed, or installed what ``xfworkerutil`` cannot work with; the message names
                the package and shows the end of what the command wrote.
        """
        needed = [item for item in installations if item.command]
        if not needed:
            return Environment(Path(sys.executable), {})
        key = _key(needed)
        with self._lock_of(key):
            folder = self._existing(key)
            if folder is None:
                with self._alone(key, report or _ignore):
                    # Another worker may have made it meanwhile.
                    folder = self._existing(key) or self._make(key, needed, report or _ignore)
        return self._environment(folder)

    def sweep(self, *, older_than_seconds: float = 24 * 3600.0) -> None:
        """Remove what makers that died left behind."""
        if not self._folder.is_dir():
            return
        in_use = {self._named(entry.stem) for entry in self._folder.glob("*.json")}
        for folder in self._folder.iterdir():
            if folder.is_dir() and folder not in in_use and time.time() - folder.stat().st_mtime > older_than_seconds:
                remove_read_only(folder)

    def _named(self, key: str) -> Path | None:
        try:
            return Path(json.loads((self._folder / f"{key}.json").read_text("utf-8"))["folder"])
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def _existing(self, key: str) -> Path | None:
        folder = self._named(key)
        if folder is None:
            return None
        # One that lost or changed a file is made anew; jobs that still run in it keep it until the next sweep.
        return folder if _python(folder).exists() and is_whole(folder) else None

    def _make(self, key: str, installations: Sequence[Installation], report: Report) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{key[:16]}-", dir=self._folder))
        try:
            self._create(folder)
            for installation in installations:
                self._install(folder, installation, report)
            # Last, so that pip sees the environment's own packages only: what it needs is installed in it.
            _see_own_packages(folder)
            write_manifest(folder)
            self._close(folder)
        except BaseException:
            remove_read_only(folder)
            raise
        packages = [item.name for item in installations]
        entry = self._folder / f".{folder.name}.json"
        entry.write_text(json.dumps({"folder": str(folder), "packages": packages}), "utf-8")
        when_free(lambda: entry.replace(self._folder / f"{key}.json"))
        return folder

    @contextmanager
    def _alone(self, key: str, report: Report) -> Iterator[None]:
        """Keep other workers that share the folder from making the same environment, where it can be locked."""
        self._folder.mkdir(parents=True, exist_ok=True)
        reported = time.monotonic()

        def waiting() -> None:
            nonlocal reported
            if time.monotonic() - reported >= _SILENT_SECONDS:
                reported = time.monotonic()
                report(b"")

        # The lock file stays: removing it while another process opens it would give the lock to both.
        with (self._folder / f"{key}.lock").open("a+b", buffering=0) as file:
            if not try_lock(file):
                report(b"xfworker: waiting for another worker that may be installing the same packages\n")
                wait_for_lock(file, waiting)
            yield

    def _create(self, folder: Path) -> None:
        try:
            import venv  # the embeddable Python for Windows is without it

            venv.EnvBuilder(with_pip=True, symlinks=sys.platform != "win32").create(folder)
        except (ImportError, OSError, subprocess.CalledProcessError) as error:
            raise JobError(
                f"making a virtual environment failed: {error}; the worker's Python needs the modules venv and "
                "ensurepip (on Debian and Ubuntu: apt install python3-venv; on Windows: a full Python, not the "
                "embeddable one)"
            ) from error
        if self._user is not None:
            for path in _content(folder):
                self._user.give(path)

    def _install(self, folder: Path, installation: Installation, report: Report) -> None:
        assert installation.command is not None
        constraints = folder / "xfworker-constraints.txt"
        constraints.write_text("".join(f"{name}>={version}\n" for name, version in _floors().items()), "utf-8")
        python = f'"{_python(folder)}"'
        command = installation.command.replace("%xfpip%", f"{python} -m pip").replace("%xfpython%", python)
        variables = {
            **self._environment(folder).variables,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_CONSTRAINT": _joined(self._variables.get("PIP_CONSTRAINT"), constraints),
        }
        report(f"xfworker: installing {installation.name}\n".encode())
        # The command is a line for the system's shell, by the definition of dependency packages.
        self._run(command, installation.folder or folder, variables, f"installing {installation.name}", report)
        for name, floor in _floors().items():
            version = _installed_version(folder, name)
            if version is not None and _numbers(version) < _numbers(floor):
                raise JobError(
                    f"{installation.name} installs {name} {version}, beside which xfworkerutil does not work: it needs "
                    f"{name}>={floor}; ask for such a version in the package's install command"
                )

    def _run(self, command: str, folder: Path, variables: Mapping[str, str], doing: str, report: Report) -> None:
        last: deque[str] = deque(maxlen=_QUOTED_LINES)
        try:
            with subprocess.Popen(  # noqa: S602  packages that an administrator checked in
                command,
                shell=True,
                cwd=folder,
                env={**self._variables, **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **({} if self._user is None else self._user.process_options),
            ) as process:
                assert process.stdout is not None
                limit = threading.Timer(_INSTALL_SECONDS, _end, (process,))
                limit.daemon = True
                limit.start()
                try:
                    for line in _lines(process.stdout):
                        report(line)
                        if line:
                            last.append(line.decode("utf-8", "replace").rstrip())
                    code = process.wait()
                finally:
                    limit.cancel()
                    _end(process)
        except OSError as error:
            raise JobError(f"{doing} failed: {error}") from error
        if code:
            said = "\n".join(last).strip()
            # pip calls the floors "constraint" without saying whose they are.
            whose = (
                f"; the constraints are what xfworkerutil needs itself: {_floors_text()}" if "onstraint" in said else ""
            )
            raise JobError(f"{doing} failed with exit code {code}{whose}; the end of its output: {said}")

    def _close(self, folder: Path) -> None:
        if self._user is not None and sys.platform != "win32":
            readable = stat.S_IRGRP | stat.S_IROTH
            for path in _content(folder):
                os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)
                if not path.is_symlink():
                    enter = stat.S_IXGRP | stat.S_IXOTH if path.is_dir() else 0
                    path.chmod(path.stat().st_mode | readable | enter)
        make_read_only(folder)

    def _environment(self, folder: Path) -> Environment:
        scripts = _python(folder).parent
        path = os.pathsep.join([str(scripts), self._variables.get("PATH", "")]).rstrip(os.pathsep)
        return Environment(_python(folder), {"VIRTUAL_ENV": str(folder), "PATH": path})

    def _lock_of(self, key: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(key, threading.Lock())


def _lines(output: IO[bytes]) -> Iterator[bytes]:
    """Give what a command writes line by line, and every now and then nothing, so that silence can be ended as well."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            for line in output:
                lines.put(line)
        except (OSError, ValueError):
            pass  # it was closed, because the command was ended
        lines.put(None)

    threading.Thread(target=read, name="install-output", daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=_SILENT_SECONDS)
        except queue.Empty:
            yield b""
            continue
        if line is None:
            return
        yield line


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and what it started; a shell that is ended alone leaves pip behind."""
    if process.poll() is not None:
        return
    if sys.platform != "win32":
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _ignore(_: bytes) -> None:
    pass


def _content(folder: Path) -> Iterator[Path]:
    """Give everything in a folder, and the folder itself last."""
    for parent, folders, files in os.walk(folder, topdown=False):
        yield from (Path(parent) / name for name in (*files, *folders))
    yield folder


def _floors() -> dict[str, str]:
    """Give the lowest versions of other packages beside which this one works."""
    try:
        stated = requires("xfworker") or []
    except PackageNotFoundError:
        return {}
    floors = (_FLOOR.match(item) for item in stated if ";" not in item)
    return {floor["name"]: floor["version"] for floor in floors if floor is not None}


def _floors_text() -> str:
    return ", ".join(f"{name}>={version}" for name, version in _floors().items())


def _installed_version(folder: Path, name: str) -> str | None:
    for distribution in distributions(name=name, path=[str(_site_packages(folder))]):
        return distribution.version
    return None


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()


def _joined(before: str | None, constraints: Path) -> str:
    # pip takes several, with blanks between them.
    return f"{before} {constraints}" if before else str(constraints)


def _see_own_packages(folder: Path) -> None:
    lines = "".join(f"import site; site.addsitedir({own!r})\n" for own in _own_folders())
    (_site_packages(folder) / "zz_xfworker.pth").write_text(lines, "utf-8")


def _key(installations: Sequence[Installation]) -> str:
    described = [
        sys.version,
        sys.executable,
        *sorted(f"{item.name}\0{item.command}\0{item.digest}" for item in installations),
    ]
    return hashlib.sha256("\n".join(described).encode()).hexdigest()


def _python(folder: Path) -> Path:
    return folder / "Scripts" / "python.exe" if sys.platform == "win32" else folder / "bin" / "python"


def _site_packages(folder: Path) -> Path:
    if sys.platform == "win32":
        return folder / "Lib" / "site-packages"
    return folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _own_folders() -> list[str]:
    # Where this package itself comes from is among them, also when it runs from a source tree.
    own = Path(__file__).parents[3]
    paths = sysconfig.get_paths()
    folders = [paths["purelib"], paths["platlib"], *site.getsitepackages(), str(own)]
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    return [folder for folder in dict.fromkeys(folders) if Path(folder).is_dir()]
