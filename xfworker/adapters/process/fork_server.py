"""
Starts scripts as forks of a process that has imported what they import, which saves each of them most of its start.

One such process serves scripts of one interpreter with one start-up environment: what the interpreter and the libraries
read of it when they begin (``PYTHON*``, ``OMP_*``, ``LC_*`` ...). Where a fork would make a difference or fails - the
process ended, a file beside the script has the name of a module that is there already - the script is started as a
process of its own. Linux only.
"""

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO

from attrs import define

from xfworker.adapters.process import fork_server_program
from xfworker.ports.job_runner import ScriptCall

_START_SECONDS = 30.0
_ANSWER_SECONDS = 10.0
_AGAIN_SECONDS = 60.0
"""How long nothing is forked after a process could not be prepared for it."""
_MOST_SERVERS = 4
_SET_CHILD_SUBREAPER = 36
_READ_AT_START = (
    *("PATH", "HOME", "USER", "LANG", "LANGUAGE", "LC_*", "TZ", "TZDIR", "PYTHON*", "LD_*", "MALLOC_*", "GLIBC_*"),
    *("VIRTUAL_ENV", "OMP_*", "OPENBLAS_*", "MKL_*", "NUMEXPR_*", "NUMBA_*", "BLIS_*", "GOTO_*", "KMP_*", "VECLIB_*"),
    *("CUDA_*", "NVIDIA_*", "ROCR_*", "HIP_*", "OPENSSL_*", "SSL_*", "SSLKEYLOGFILE"),
)
"""Variables that are read before a script begins; two scripts come from one process only where these are the same."""
_OPTIONS = frozenset({"-u"})


@define
class ForkedScript:
    """
    The process of a script, as much as is needed of a ``subprocess.Popen``.

    Attributes:
        pid: Its number; it is a child of this process.
        stdout: What it writes.
        returncode: How it ended, set by whoever waited for it.
    """

    pid: int
    stdout: BinaryIO
    returncode: int | None = None


@define(frozen=True)
class PlainCall:
    """A call of the interpreter with a file, in its parts."""

    interpreter: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, call: ScriptCall) -> "PlainCall | None":
        """Take a call apart; ``None`` where it is of another kind, or where its start would fail."""
        python, *rest = call.command
        options = []
        while rest and rest[0] in _OPTIONS:
            options.append(rest.pop(0))
        script = Path(rest[0]) if rest else Path()
        paths = call.environment.get("PYTHONPATH")
        if (
            not Path(python).is_absolute()
            or not script.is_absolute()
            or script.suffix != ".py"
            or not script.is_file()
            or not os.access(call.working_directory, os.X_OK)
            or not os.access(script, os.R_OK)
            # What is relative is relative to the directory in which the interpreter starts.
            or (paths and not all(Path(path).is_absolute() for path in paths.split(os.pathsep)))
            # These the system refuses; starting a process says how.
            or any("\0" in part for part in (*call.command, *call.environment, *call.environment.values()))
            or any(not name or "=" in name for name in call.environment)
        ):
            return None
        at_start = sorted(
            (name, value)
            for name, value in call.environment.items()
            if any(fnmatchcase(name, pattern) for pattern in _READ_AT_START)
        )
        return cls((python, *options), tuple(rest), tuple(at_start))


class ForkServer:
    """One such process. Not safe to use from several threads at once."""

    def __init__(self, interpreter: Sequence[str], environment: Mapping[str, str], preload: Sequence[str]) -> None:
        """
        Start it and wait until it is ready.

        Args:
            interpreter: The program and its options.
            environment: The environment in which it starts.
            preload: What it calls first, as ``module:function``.

        Raises:
            OSError: It could not be started, or scripts cannot be forked from it; the message says why.
        """
        self._control, other = socket.socketpair()
        with other:
            self._process = subprocess.Popen(  # noqa: S603  our own file, by the interpreter of the scripts
                [*interpreter, fork_server_program.__file__, str(other.fileno()), *preload],
                env={**environment, fork_server_program.ID_VARIABLE: "0" * fork_server_program.ID_LENGTH},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(other.fileno(),),
                start_new_session=True,
            )
        self.pid = self._process.pid
        try:
            ready: dict[str, Any] = json.loads(self._answer(_START_SECONDS))
            if "error" in ready:
                raise OSError(ready["error"])  # noqa: TRY301  the same as an answer that does not come
        except (OSError, ValueError) as error:
            self.close()
            raise OSError(f"no scripts are forked for {interpreter[0]}: {error}") from None
        self._modules = frozenset(ready["modules"])
        self._files: dict[str, int] = ready["files"]

    def is_current(self) -> bool:
        """Return whether it lives, and everything that it has imported is still as it was."""
        if self._process.poll() is not None:
            return False
        try:
            return all(os.stat(path).st_mtime_ns == changed for path, changed in self._files.items())  # noqa: PTH116  some hundred, before each script
        except OSError:
            return False

    def hides_modules_of(self, folder: str) -> bool:
        """Return whether the folder holds a module by the name of one that was imported from elsewhere."""
        try:
            names = os.listdir(folder)  # noqa: PTH208  names are all that is needed
        except OSError:
            return False
        return any(
            name.partition(".")[0] in self._modules
            and not any(path.startswith(str(Path(folder, name))) for path in self._files)
            for name in names
            if name.endswith((".py", ".so", ".pyc")) or "." not in name
        )

    def start(
        self,
        plain: PlainCall,
        call: ScriptCall,
        environment: Mapping[str, str],
        script_id: str,
        before: Callable[[int], None],
    ) -> ForkedScript:
        """
        Fork a script.

        Args:
            plain: The parts of the call.
            call: The call.
            environment: The script's whole environment.
            script_id: The id by which its processes are known.
            before: Called with the number of the process before anything of the script runs.

        Raises:
            OSError: It was not started, and nothing of it has run.
        """
        if sys.platform == "win32":
            raise OSError("scripts are forked on Linux only")
        document = {
            "command": list(call.command),
            "arguments": list(plain.arguments),
            "environment": dict(environment),
            "directory": str(call.working_directory),
        }
        read, write = os.pipe()
        read_output, write_output = os.pipe()
        output = os.fdopen(read_output, "rb", buffering=0)
        try:
            try:
                socket.send_fds(self._control, [script_id.encode()], [read, write_output])
            finally:
                os.close(read)
                os.close(write_output)
            pid = int(self._answer(_ANSWER_SECONDS))
            if not pid:
                raise OSError("the system started no process")  # noqa: TRY301  the same as no answer
        except (OSError, ValueError) as error:
            os.close(write)  # whatever was forked ends by this
            output.close()
            raise OSError(str(error)) from None
        try:
            with os.fdopen(write, "wb") as pipe:
                before(pid)
                pipe.write(json.dumps(document).encode())
        except OSError:
            os.waitpid(pid, 0)
            output.close()
            raise
        return ForkedScript(pid, output)

    def close(self) -> None:
        """End it; scripts that were forked from it go on."""
        self._control.close()
        with contextlib.suppress(OSError):
            self._process.kill()  # it has nothing to tidy up
        self._process.wait()

    def _answer(self, seconds: float) -> bytes:
        self._control.settimeout(seconds)
        answer = b""
        while not answer.endswith(b"\n"):
            piece = self._control.recv(65536)
            if not piece:
                raise OSError("the process ended")
            answer += piece
        return answer


class ForkServers:
    """The processes from which the scripts of a runner are forked. Safe to use from several threads."""

    def __init__(self, preload: Sequence[str]) -> None:
        """
        Take what scripts are likely to need; nothing is started yet.

        Args:
            preload: Functions that import and prepare it, as ``module:function``.
        """
        self._preload = tuple(preload)
        self._servers: dict[object, ForkServer] = {}
        self._not_before: dict[object, float] = {}
        self._lock = threading.Lock()

    def start(
        self,
        call: ScriptCall,
        environment: Mapping[str, str],
        script_id: str,
        before: Callable[[int], None],
    ) -> ForkedScript | None:
        """
        Start a script by a fork.

        Args:
            call: The call.
            environment: The script's whole environment.
            script_id: The id by which its processes are known.
            before: Called with the number of the process before anything of the script runs.

        Returns:
            The script; ``None`` where it has to be started as a process of its own. Nothing of it has run then.
        """
        plain = PlainCall.of(call)
        if plain is None:
            return None
        with self._lock:
            server = self._server_for(plain)
            if server is None or any(server.hides_modules_of(folder) for folder in _module_folders(plain)):
                return None
            try:
                with _adopting_orphans():
                    return server.start(plain, call, environment, script_id, before)
            except OSError:
                self._drop((plain.interpreter, plain.environment))
                return None

    def close(self) -> None:
        """End the processes; scripts go on."""
        with self._lock:
            for key in list(self._servers):
                self._drop(key)

    def _server_for(self, plain: PlainCall) -> ForkServer | None:
        key = (plain.interpreter, plain.environment)
        server = self._servers.pop(key, None)
        if server is not None and not server.is_current():
            server.close()
            server = None
        if server is None:
            if time.monotonic() < self._not_before.get(key, 0.0):
                return None
            try:
                server = ForkServer(plain.interpreter, dict(plain.environment), self._preload)
            except OSError:
                self._not_before[key] = time.monotonic() + _AGAIN_SECONDS
                return None
            while len(self._servers) >= _MOST_SERVERS:
                self._drop(next(iter(self._servers)))
        self._servers[key] = server  # the one that was used last is the last
        return server

    def _drop(self, key: object) -> None:
        server = self._servers.pop(key, None)
        if server is not None:
            server.close()


def _module_folders(plain: PlainCall) -> list[str]:
    paths = dict(plain.environment).get("PYTHONPATH", "").split(os.pathsep)
    return [str(Path(plain.arguments[0]).resolve().parent), *filter(None, paths)]


@contextlib.contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Become the parent of descendants whose own parent ends within the block (prctl(2))."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER is refused")
    try:
        yield
    finally:
        prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
