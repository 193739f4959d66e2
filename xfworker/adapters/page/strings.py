"""The page's texts: all of them stand in ``strings.toml``."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def strings() -> Mapping[str, Any]:
    """Give the texts by section and name; those in ``script`` are for the page's scripts."""
    text = files(__package__).joinpath("strings.toml").read_text("utf-8")
    return tomllib.loads(text)
