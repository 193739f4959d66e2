"""What scripts import when they make an ``XFWorkerJob`` and finish it, loaded before there is a script."""

from importlib import import_module

PRELOAD = f"{__name__}:preload"
"""The function below, by the name under which the worker's process runner calls it."""

_MODULES = (
    "encodings.idna",  # of every name of a host
    "uuid",
    "xfworker.adapters.clock",
    "xfworker.adapters.disk.filesystem",
    "xfworker.adapters.disk.path_map",
    "xfworker.adapters.http.file_store",
    "xfworker.adapters.http.xf_server",
    "xfworker.adapters.wire.records",
    "xfworker.api.composition.session",
    "xfworker.api.facade.worker_job",
    "xfworker.api.settings.file",
    "xfworker.api.settings.parser",
    "xfworkerutil",
)


def preload() -> None:
    """Import the modules, and make the readers and writers of jobs; nothing is asked of the environment."""
    for name in _MODULES:
        import_module(name)
    from xfworker.adapters.wire.codec import read, write
    from xfworker.domain.conversion import to_json
    from xfworker.domain.job import Job

    write(read(Job, to_json(Job(task_serial=1)), "job"))
