"""
Run tests under a Windows Python in wine: ``python -m tests.windows.run [--ci] [TEST ...] [-- OPTION OF PYTEST ...]``.

Without arguments it is the full form. ``--ci`` is the part of it that has to do with paths, files, processes and the
console, and the worker. Servers that tests start run on this system, since the server does not start under wine.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.windows.environment import FOLDER, ROOT, windows_path, windows_python
from tests.windows.servers import offered_servers

_WINE_VARIABLES = {
    "WINEDEBUG": "-all",
    # Neither .NET nor a browser is needed, and nobody is there to be asked for them.
    "WINEDLLOVERRIDES": "mscoree=;mshtml=;winemenubuilder.exe=",
}
_MINUTES = 10


def main(arguments: list[str]) -> int:
    if shutil.which("wine") is None or shutil.which("wineserver") is None:
        sys.stderr.write("the tests for Windows need wine, which is not installed (on Debian: apt install wine)\n")
        return 2
    # The end of a run ends all programs in the prefix, so there is one at a time.
    with (ROOT / ".venv-windows.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _run_tests(windows_python(), arguments)


def _run_tests(python: Path, arguments: list[str]) -> int:
    variables = {**os.environ, **_WINE_VARIABLES, "WINEPREFIX": str(FOLDER / "wine")}
    variables.pop("DISPLAY", None)
    with tempfile.TemporaryDirectory(prefix="xfworker-windows-") as folder, offered_servers() as servers:
        variables |= servers
        command = ["wine", str(python), "-m", "pytest", "-p", "tests.windows.served_from_linux"]
        command += ["-p", "no:cacheprovider", "--basetemp", windows_path(Path(folder) / "bt"), *arguments]
        try:
            return _run(command, variables)
        finally:
            subprocess.run(["wineserver", "-k"], env=variables, check=False)


def _run(command: list[str], variables: dict[str, str]) -> int:
    # A Windows program that is given no standard input, or a terminal of this system as its output, does not start.
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        limit = threading.Timer(_MINUTES * 60, lambda: os.killpg(process.pid, signal.SIGKILL))
        limit.daemon = True
        limit.start()
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line.decode("utf-8", "replace"))
            sys.stdout.flush()
        code = process.wait()
        limit.cancel()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
