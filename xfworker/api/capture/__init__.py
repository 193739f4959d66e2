"""Jobs of a real platform: the recorder that is laid beside a script, and what plays its captures back."""

from pathlib import Path


def recorder_path() -> Path:
    """Give the recorder, a file of its own that ``xfworker capture init`` copies into a package."""
    return Path(__file__).with_name("xfcapture.py")
