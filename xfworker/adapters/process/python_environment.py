"""The Python environment of this process, as far as it can make results differ."""

import platform
from collections.abc import Mapping
from importlib.metadata import distributions
from typing import Any


def python_environment() -> dict[str, Any]:
    """Give the interpreter, the operating system and every installed package with its version."""
    packages = {str(item.metadata["Name"]): item.version for item in distributions() if item.metadata["Name"]}
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


def environment_differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """
    Say in which ways two environments differ, one sentence each.

    Args:
        there: The environment of a run before.
        here: The environment of this run.
    """
    differences = [
        f"{name}: {there[name]} then, {here.get(name)} now"
        for name in ("python", "system", "machine")
        if there.get(name) is not None and there[name] != here.get(name)
    ]
    before, now = (_packages(environment) for environment in (there, here))
    for name, version in before.items():
        if name not in now:
            differences.append(f"package {name}: {version} then, absent now")
        elif now[name] != version:
            differences.append(f"package {name}: {version} then, {now[name]} now")
    return differences


def _packages(environment: Mapping[str, Any]) -> dict[str, str]:
    packages = environment.get("packages")
    if not isinstance(packages, Mapping):
        return {}
    # pip, and names on disks, take capitals, hyphens and underscores for the same.
    return {str(name).lower().replace("_", "-"): str(version) for name, version in packages.items()}
