"""Where the modules are that task scripts import by bare name beside ``xfworkerutil``."""

from pathlib import Path

SHIM_FOLDER = Path(__file__).parents[1] / "shims"
"""The folder for a script's ``PYTHONPATH``. Named by its path: who runs scripts imports none of their modules."""
