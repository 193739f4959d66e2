"""Finding, loading and calling the genuine ``xfworkerutil``."""

import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from xfworker.adapters.genuine.key_map import KeyMap, read_key_map
from xfworker.domain.errors import ConfigurationError, ServerFault, XFWorkerError
from xfworker.domain.job_arguments import JobArguments

_NAME = "xfworkerutil"
_SHORTEST_SECRET = 4
_LONGEST_QUOTE = 500


class GenuineModule:
    """
    The genuine module, with the job that it works on.

    The job is loaded by the documented ``XFWorkerJob()`` when something first needs a connection, as only that gives
    one: the module then also makes its working directory and hooks uncaught exceptions.
    """

    def __init__(self, util: ModuleType, network: ModuleType | None = None, keys: KeyMap | None = None) -> None:
        """
        Take the loaded module.

        Args:
            util: The module ``xfworkerutil``.
            network: Its sibling ``network``, which lists folders; without it they cannot be listed.
            keys: What the keys of records are called there.
        """
        self.util = util
        self.network = network
        self.keys = keys or KeyMap()

    @cached_property
    def worker(self) -> Any:
        """The documented ``XFWorkerJob`` of the running script."""
        with self.calling("load the job"):
            return self.util.XFWorkerJob()

    @cached_property
    def arguments(self) -> JobArguments:
        """Which job this is, as the module reads it from the environment."""
        with self.calling("read the job's arguments"):
            given = self.util.XFWorkerArguments()
            return JobArguments(
                job_serial=int(given.job_serial),
                server_host=str(given.server_host),
                server_port=str(given.server_port),
                server_auth=str(given.server_auth),
            )

    @contextmanager
    def connection(self, doing: str) -> Iterator[Any]:
        """Give a documented connection for one call; what the call raises becomes an error of this package."""
        with self.calling(doing), self.worker.server_connection() as connection:
            yield connection

    @contextmanager
    def calling(self, doing: str) -> Iterator[None]:
        """
        Turn what documented calls raise into errors of this package.

        Raises:
            ServerFault: The call failed. Which classes the module raises is not public, so its message is quoted.
        """
        try:
            yield
        except XFWorkerError:
            raise
        except Exception as error:
            text = str(error)
            secret = self.__dict__["arguments"].server_auth if "arguments" in self.__dict__ else ""
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
            raise ServerFault(
                f"The genuine xfworkerutil could not {doing}: {type(error).__name__}: "
                f"{text[:_LONGEST_QUOTE] or 'without a message'}"
            ) from error


def load_genuine_module(own: Path, module: Path | None = None, key_map: Path | None = None) -> GenuineModule:
    """
    Load the genuine module under a name of its own, beside this package's.

    Args:
        own: The file of this package's module, which is not it.
        module: Its file, or the folder that holds it; by default the first on the search path that is not ``own``.
        key_map: A TOML file with the names of the keys.

    Raises:
        ConfigurationError: It is not there, cannot be imported, or the key map is wrong.
    """
    keys = KeyMap() if key_map is None else read_key_map(key_map)
    path = _found(own) if module is None else (module / f"{_NAME}.py" if module.is_dir() else module)
    util = _load(path, "genuine_xfworkerutil")
    sibling = path.parent / "network.py"
    return GenuineModule(util, _load(sibling, "genuine_network") if sibling.is_file() else None, keys)


def _found(own: Path) -> Path:
    for entry in sys.path:
        spec = importlib.machinery.PathFinder.find_spec(_NAME, [entry])
        if spec is not None and spec.origin and Path(spec.origin).resolve() != own.resolve():
            return Path(spec.origin)
    raise ConfigurationError(
        "server.kind is 'genuine', and there is no xfworkerutil on the search path but this package's own; "
        "name its file in server.options.module"
    )


def _load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigurationError(
            f"{path} is not a Python module; name the genuine xfworkerutil in server.options.module"
        )
    module = importlib.util.module_from_spec(spec)
    # The module finds its siblings by their bare names, behind everything that is there already.
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigurationError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module
