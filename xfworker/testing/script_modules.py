"""The modules that lie beside a script: imported afresh for each run, and out of the way when it has ended."""

import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

_OURS = frozenset({"xfworker", "xfworkerutil"})


@contextmanager
def script_modules(folder: Path, shim_folders: Sequence[Path] = ()) -> Iterator[None]:
    """
    Let a script import what lies beside it, whatever modules of the same names this process has loaded.

    Args:
        folder: The script's folder.
        shim_folders: Further folders with modules that only scripts may import by bare name.

    Libraries that are loaded already stay loaded: most of them cannot be imported twice.
    """
    names = _importable_names(folder) - _OURS
    set_aside = {name: module for name, module in list(sys.modules.items()) if _is_one_of(name, module, names)}
    for name in set_aside:
        del sys.modules[name]
    before = set(sys.modules)
    try:
        yield
    finally:
        shims = {path.stem for shim_folder in shim_folders for path in shim_folder.glob("*.py")}
        for name in set(sys.modules) - before:
            if name in shims or _is_one_of(name, sys.modules[name], names):
                del sys.modules[name]
        sys.modules.update(set_aside)


def _importable_names(folder: Path) -> set[str]:
    names = {path.stem for path in folder.glob("*.py")}
    return names | {path.name for path in folder.iterdir() if path.is_dir() and path.name.isidentifier()}


def _is_one_of(name: str, module: ModuleType | None, names: set[str]) -> bool:
    return name.partition(".")[0] in names and module is not None and not _is_library(module)


def _is_library(module: ModuleType) -> bool:
    filename = getattr(module, "__file__", None)
    if filename is None:
        # Built into the interpreter, or a folder without __init__.py, which is not a library.
        return not hasattr(module, "__path__")
    library_folders = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(Path(folder) in Path(filename).parents for folder in library_folders)
