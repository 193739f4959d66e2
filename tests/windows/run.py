"""
Run tests under a Windows Python in wine: ``python -m tests.windows.run [--short] [TEST OR OPTION OF PYTEST ...]``.

Without arguments it is the full form, what has to do with a client of a server; ``--short`` is what has to do with
paths, files, processes and the console, and the worker. Servers that tests start run on this system, since the server
does not start under wine.
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
SHARE_VARIABLE = "XFWORKER_TEST_SHARE"
"""The environment variable with two names of one folder: a share's and a mapped drive's."""
_MOST_MINUTES = 20
"""Some ten are enough on two idle cores; then something hangs."""

SHORT = (
    "tests/windows",
    "tests/e2e/test_worker_command.py",
    "tests/unit/cli",
    "tests/unit/settings",
    "tests/unit/transfers",
    "tests/unit/process",
    "tests/unit/packages",
    "tests/unit/facade/test_working_directory.py",
    "tests/unit/test_outcome.py",
    "tests/unit/test_script_environment.py",
    "tests/unit/domain/test_files.py",
    "tests/contract/test_filesystems.py",
    "tests/contract/test_job_runners.py",
    "tests/contract/test_file_stores.py",
)
FULL_ONLY = ("tests/windows/test_official_script.py",)
"""What is slow among the tests of the short form's folders."""
FULL = (
    *SHORT,
    "tests/unit/bundle",
    "tests/unit/comparison",
    "tests/unit/domain",
    "tests/unit/facade",
    "tests/unit/images",
    "tests/unit/jobs",
    "tests/unit/testing_kit",
    "tests/contract/test_clocks.py",
    "tests/contract/test_facade_direct_access.py",
    "tests/contract/test_facade_http.py",
    "tests/contract/test_http_memory_platform.py",
    "tests/contract/test_sns_servers.py",
)
"""What is of the server alone is not in here."""


def main(arguments: list[str]) -> int:
    if shutil.which("wine") is None or shutil.which("wineserver") is None:
        sys.stderr.write("the tests for Windows need wine, which is not installed (on Debian: apt install wine)\n")
        return 2
    # The end of a run ends all programs in the prefix, so there is one at a time.
    with (ROOT / ".venv-windows.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _run_tests(windows_python(), arguments)


def _run_tests(python: Path, arguments: list[str]) -> int:
    prefix = FOLDER / "wine"
    variables = {**os.environ, **_WINE_VARIABLES, "WINEPREFIX": str(prefix)}
    variables.pop("DISPLAY", None)
    if not (prefix / "dosdevices").exists():
        subprocess.run(["wineboot", "--init"], env=variables, check=True, capture_output=True)
    with tempfile.TemporaryDirectory(prefix="xfworker-windows-") as folder, offered_servers() as servers:
        variables |= servers | _share(prefix, Path(folder) / "share")
        command = ["wine", str(python), "-m", "pytest", "-p", "tests.windows.served_from_linux"]
        command += ["-p", "no:cacheprovider", "--basetemp", windows_path(Path(folder) / "bt"), "-rs"]
        command += ["--numprocesses", "2", *_tests(arguments)]
        try:
            return _run(command, variables)
        finally:
            subprocess.run(["wineserver", "-k"], env=variables, check=False)


def _tests(arguments: list[str]) -> list[str]:
    if "--short" in arguments:
        ignored = (f"--ignore={path}" for path in FULL_ONLY)
        return [*(word for word in arguments if word != "--short"), *ignored, *SHORT]
    return arguments if any(not word.startswith("-") for word in arguments) else [*arguments, *FULL]


def _share(prefix: Path, folder: Path) -> dict[str, str]:
    """Give a folder a UNC name and a drive; return the environment in which tests find them."""
    folder.mkdir()
    share = prefix / "dosdevices" / "unc" / "lab" / "scans"
    share.parent.mkdir(parents=True, exist_ok=True)
    for name in (share, prefix / "dosdevices" / "x:"):
        name.unlink(missing_ok=True)
        name.symlink_to(folder)
    return {SHARE_VARIABLE: "\\\\lab\\scans;X:\\"}


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
        limit = threading.Timer(_MOST_MINUTES * 60, _end, [process.pid])
        limit.daemon = True
        limit.start()
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line.decode("utf-8", "replace"))
            sys.stdout.flush()
        code = process.wait()
        limit.cancel()
    return code


def _end(group: int) -> None:
    sys.stderr.write(f"the tests for Windows took more than {_MOST_MINUTES} minutes and were ended\n")
    os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
