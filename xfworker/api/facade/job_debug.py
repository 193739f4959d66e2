"""What helps to find out why a script behaves as it does, without any secret."""

import platform
import sys
from typing import Any, Mapping

from xfworker import __version__
from xfworker.domain.errors import XFWorkerError
from xfworker.services.script.session import Session
from xfworker.services.script.working_directory import WorkingDirectory

_PARTS = ("numpy", "attrs", "cattrs", "urllib3", "structlog")


def debug_info(session: Session, job: Mapping[str, Any], working_dir: WorkingDirectory) -> str:
    """Describe the job, the server, the machine and the installed parts, one fact a line."""
    arguments = session.arguments
    facts = {
        "xfworker": __version__,
        "Python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "script": sys.argv[0] if sys.argv else "",
        "job": (
            f"{arguments.job_serial}, state {job.get('state')}, attempt {job.get('attempt')}, "
            f"lock version {job.get('occ_lock_version')}"
        ),
        "task, workflow, project": ", ".join(
            str(job.get(key)) for key in ("task_serial", "workflow_serial", "project_serial")
        ),
        "server": f"{arguments.server_host}:{arguments.server_port} ({type(session.server).__name__})",
        "file store": type(session.files).__name__,
        "working directory": f"{working_dir.path} ({_free_space(session, working_dir)})",
        "inputs": ", ".join(_input(key, value) for key, value in (job.get("inputs") or {}).items()) or "none",
        "installed": ", ".join(_installed()),
    }
    return "\n".join(f"{name}: {fact}" for name, fact in facts.items())


def _free_space(session: Session, working_dir: WorkingDirectory) -> str:
    try:
        return f"{session.filesystem.free_bytes(working_dir.path) / 1e9:.1f} GB free"
    except XFWorkerError as error:
        return str(error)


def _input(key: str, value: Any) -> str:
    # Values can be personal; their types are enough to go by.
    if value is None:
        return f"{key} (not set)"
    return f"{key} ({value.get('type', 'object') if isinstance(value, Mapping) else type(value).__name__})"


def _installed() -> list[str]:
    from importlib import metadata

    versions = []
    for name in _PARTS:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name} not installed")
    return versions
