"""
Files that somebody has open: Windows refuses to replace, rename or remove them, for as long as they are.

Mostly that is a moment: a reader of the same file, a virus scanner or an indexer that looks at what was just written.
"""

import time
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")

_ACCESS_DENIED, _SHARING_VIOLATION, _LOCK_VIOLATION, _DIRECTORY_NOT_EMPTY, _USER_MAPPED_FILE = 5, 32, 33, 145, 1224
_PAUSES = (*(0.01,) * 20, *(0.05,) * 76)
"""Seconds; four in all. Short ones, for the moments between one reader and the next."""


def when_free(action: Callable[[], _Result]) -> _Result:
    """
    Replace, rename or remove something, again for some four seconds while Windows says that somebody has it open.

    Args:
        action: What is done; it does nothing where it is refused.

    Raises:
        OSError: Whatever the action raises at last.
    """
    for pause in _PAUSES:
        try:
            return action()
        except OSError as error:
            if not is_in_use(error):
                raise
            time.sleep(pause)
    return action()


def is_in_use(error: OSError) -> bool:
    """
    Return whether an error may mean that a file is open or mapped, here or in another program.

    A folder that was just emptied is not empty as long as somebody has a file of it open.
    """
    return getattr(error, "winerror", None) in {
        _ACCESS_DENIED,
        _SHARING_VIOLATION,
        _LOCK_VIOLATION,
        _DIRECTORY_NOT_EMPTY,
        _USER_MAPPED_FILE,
    }
