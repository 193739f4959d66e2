"""A stand-in for the module of the platform: a package whose names are loaded late, from another package."""

from importlib import import_module

__version__ = "2026.3"
_HOMES = {
    "XFWorkerJob": "labcore.job",
    "TemporaryWorkingDirectory": "labcore.job",
    "XFWorkerArguments": "labcore.job",
    "ActivityLogLevel": "labcore.job",
    "get_xf_userdata_token": "labcore.server",
    "get_xf_jobs_by_task": "labcore.server",
    "get_xf_parameter_float_sequence": "labcore.server",
}
__all__ = list(_HOMES)


def __getattr__(name):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(name)
