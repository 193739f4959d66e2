"""An environment of its own for a peer that asks for other versions of our libraries than we do."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path


def python_with(package: str, *more: str) -> Path:
    """
    Give the interpreter of an environment that holds one package, and maybe more; it is made when first asked for.

    Raises:
        RuntimeError: The package cannot be installed here.
    """
    folder = Path(sys.prefix) / "peers" / package
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    complete = folder / "complete"
    if not complete.exists():
        print(f"installing {package} into an environment of its own", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        done = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", package, *more], capture_output=True, text=True, check=False
        )
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise RuntimeError(f"{package} cannot be installed: {(done.stderr.strip().splitlines() or ['?'])[-1][:90]}")
        complete.touch()
    return python
