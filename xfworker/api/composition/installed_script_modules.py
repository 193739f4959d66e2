"""Which ``xfworkerutil`` a script gets that somebody starts by hand."""

import json
import subprocess
import sys
from pathlib import Path

from attrs import define

from xfworker.api.composition.module_folders import SCRIPT_MODULE_FOLDER

# The search path of a script is not this process's own: an interpreter that has just begun is asked. ``-P`` leaves out
# the current folder, which a script's own folder takes the place of.
_SEARCH = """
import importlib.machinery, json, sys
specs = [importlib.machinery.PathFinder.find_spec("xfworkerutil", [entry]) for entry in sys.path]
print(json.dumps([spec.origin for spec in specs if spec is not None and spec.origin]))
"""


@define(frozen=True)
class ScriptModule:
    """
    A module ``xfworkerutil`` on the search path.

    Attributes:
        path: Its file.
        own: Whether it is this package's.
    """

    path: Path
    own: bool


def installed_script_modules() -> list[ScriptModule]:
    """Give every ``xfworkerutil`` that this interpreter finds, in the order of its search path: the first one wins."""
    done = subprocess.run(  # noqa: S603 - this interpreter and constant code
        [sys.executable, "-P", "-c", _SEARCH], capture_output=True, text=True, encoding="utf-8", check=True
    )
    own = SCRIPT_MODULE_FOLDER.resolve()
    paths = list(dict.fromkeys(Path(origin).resolve() for origin in json.loads(done.stdout)))
    return [ScriptModule(path, own=path.parent == own) for path in paths]


def describe_script_modules(modules: list[ScriptModule]) -> str:
    """Say in sentences which module scripts get."""
    if not modules:
        return (
            "A script that you start yourself finds no xfworkerutil; scripts that xfworker starts get this package's. "
            f"To start scripts yourself, put {SCRIPT_MODULE_FOLDER} on PYTHONPATH."
        )
    first, *others = modules
    if first.own:
        text = f"A script that you start yourself imports this package's xfworkerutil: {first.path}"
    else:
        text = (
            f"A script that you start yourself imports a xfworkerutil of another origin: {first.path}; scripts that "
            "xfworker starts get this package's."
        )
    return "\n".join([text, *(f"Behind it on the search path, so not used: {other.path}" for other in others)])
