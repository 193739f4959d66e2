"""What people read about an exception that nobody caught."""

import traceback
from pathlib import Path, PurePath
from types import TracebackType

_PACKAGE = Path(__file__).resolve().parents[2]
_LONGEST_MESSAGE = 4000


def describe_exception(error: BaseException) -> str:
    """Give ``Type: text (script.py, line 12)``, with the line of the script rather than of the libraries below it."""
    name = type(error).__name__
    text = "interrupted (Ctrl-C)" if isinstance(error, KeyboardInterrupt) else _text(error)
    message = f"{name}: {text}" if text else name
    location = script_location(error.__traceback__)
    return printable(message) + (f" ({location})" if location else "")


def printable(message: str) -> str:
    """Give a message that can be saved: valid Unicode without NUL, of bounded length."""
    valid = message.encode(errors="backslashreplace").decode().replace("\0", "\\0")
    if len(valid) <= _LONGEST_MESSAGE:
        return valid
    half = _LONGEST_MESSAGE // 2
    return f"{valid[:half]} [... {len(valid) - 2 * half} characters left out ...] {valid[-half:]}"


def script_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """List the frames of a traceback without those inside this package."""
    return [frame for frame in traceback.extract_tb(trace) if _PACKAGE not in Path(frame.filename).parents]


def script_location(trace: TracebackType | None) -> str:
    """Name file and line of the deepest frame that is the script's own, or the deepest of all."""
    frames = script_frames(trace)
    own = [frame for frame in frames if not _is_library(frame.filename)] or frames
    return f"{PurePath(own[-1].filename).name}, line {own[-1].lineno}" if own else ""


def _is_library(filename: str) -> bool:
    parts = PurePath(filename).parts
    return filename.startswith("<frozen") or any(
        part in {"site-packages", "dist-packages"} or part.startswith("python3") for part in parts
    )


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  a broken __str__ must not hide that there was an error
        return "(its message could not be read)"
