"""What really happens when a capture is played back: the working directory, paths in it, and calibrations."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.services.script.working_directory import WorkingDirectory

_METHODS: Mapping[str, Callable[[float, float, Any], Any]] = {
    "raw_to_calibrated": lambda slope, intercept, value: slope * value + intercept,
    "calibrated_to_raw": lambda slope, intercept, value: (value - intercept) / slope,
    "raw_stddev_to_calibrated_stddev": lambda slope, _, value: abs(slope) * value,
    "raw_variance_to_calibrated_variance": lambda slope, _, value: slope * slope * value,
}
PROBED = "{}(0, 1)"
"""Under which names recorders keep what a calibration answered to 0 and 1."""

SILENT = frozenset(
    {
        "progress",
        "set_estimated_duration",
        "set_error_message",
        "clear_error_message",
        "set_output_units",
        "activity_log_message",
        "hook_exceptions",
        "upload_output_file",
        "upload_xf_userdata_file",
        "remove",
        "__exit__",
    }
)
"""Calls that only send something and give nothing: they are always taken, and compared afterwards."""


class LocalWork:
    """
    The working directory of a job that is played back.

    Attributes:
        directory: The directory, which really is there.
    """

    def __init__(self, folder: Path) -> None:
        """Make the working directory in a folder that exists."""
        self.directory = WorkingDirectory(LocalFilesystem(folder), "job_")
        self.functions: Mapping[str, Callable[..., Any]] = {
            "create_temp_path": self._create_temp_path,
            "create_related_path": self._create_related_path,
            "create_output_path": self._create_related_path,
            "is_under": lambda arguments, _: self.directory.is_under(arguments["p"]),
            "remove": lambda _arguments, _: self.directory.remove(),
            "subdir": lambda arguments, _: self._subdir(arguments),
        }

    def _create_temp_path(self, arguments: Mapping[str, Any], recorded: str | None) -> Path:
        return self.directory.create_temp_path(recorded or str(arguments["filename"]))

    def _create_related_path(self, arguments: Mapping[str, Any], recorded: str | None) -> Path:
        if recorded is not None:
            return self.directory.create_temp_path(recorded)
        return self.directory.create_related_path(Path(arguments["path"]), str(arguments["postfix"]))

    @contextmanager
    def _subdir(self, arguments: Mapping[str, Any]) -> Iterator[None]:
        with self.directory.subdir(str(arguments["name"]), int(arguments.get("max_name_len", 8))):
            yield


def calibrated(facts: Mapping[str, Any], method: str, value: Any) -> Any:
    """
    Do what a documented method of a calibration does, from what the calibration said of itself.

    Args:
        facts: Its slope and intercept, or what it answered to 0 and 1.
        method: The method.
        value: A number or an array.

    Returns:
        The result, or ``None`` where its facts do not state it.
    """
    probed = facts.get(PROBED.format(method))
    if isinstance(probed, list) and len(probed) == 2 and all(isinstance(item, int | float) for item in probed):  # noqa: PLR2004  at 0 and 1
        return probed[0] + (probed[1] - probed[0]) * value
    slope, intercept = facts.get("slope"), facts.get("intercept")
    if not isinstance(slope, int | float) or not isinstance(intercept, int | float) or not slope:
        return None
    rule = _METHODS.get(method)
    return None if rule is None else rule(slope, intercept, value)


def set_facts(instance: object, facts: Mapping[str, Any]) -> None:
    """Give an object the facts that the captured one stated, as plain attributes."""
    for name, value in facts.items():
        if name.isidentifier() and name not in vars(instance):
            vars(instance)[name] = value
