"""
Where the modules are that task scripts import by bare name.

The folders are named by their paths: who runs scripts imports none of their modules.
"""

from pathlib import Path

SCRIPT_MODULE_FOLDER = Path(__file__).parents[1] / "script_module"
"""The folder of ``xfworkerutil``."""

SHIM_FOLDER = Path(__file__).parents[1] / "shims"
"""The folder of ``omni``, ``network`` and ``xfsortorder``."""

MODULE_FOLDERS = (SCRIPT_MODULE_FOLDER, SHIM_FOLDER)
"""What stands first on the ``PYTHONPATH`` of a script that is run by this package."""
