"""Readers of other formats that are installed with the ``images`` extra."""

import importlib
from pathlib import Path
from typing import Any

from xfworker.domain.errors import UnsupportedImage


def reader_library(name: str, path: Path, what: str) -> Any:
    """
    Import the library that reads a format.

    Raises:
        UnsupportedImage: It is not installed; the message says how to get it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UnsupportedImage(
            f"{path} is {what}, which needs the package {name!r}; install it with: pip install 'xfworker[images]'"
        ) from error
