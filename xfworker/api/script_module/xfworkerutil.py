"""
XF Worker utilities: what task scripts import.

    import xfworkerutil

    worker = xfworkerutil.XFWorkerJob()
    image = worker.get_omni_image(worker.job["inputs"]["image"])
    worker.finish({"voxels": image.pixels_count})

Every name is loaded when it is first used (PEP 562), so that importing this module costs next to nothing. The names are
described in ``docs/api.md``. Type checkers and editors read them from the stub package beside (``xfworkerutil-stubs``).

This file lies in a folder of its own, which ``xfworker.pth`` puts behind site-packages: where another module of this
name is installed, that one wins, and neither installing nor removing this package touches it.
"""

_HOMES = {
    "xfworker.api.facade.arguments": ("XFWorkerArguments",),
    "xfworker.api.facade.functions.activity_log": ("create_activity_log_event",),
    "xfworker.api.facade.functions.file_tokens": (
        "get_parameter_file_token",
        "get_xf_dependency_package_config_token",
        "get_xf_job_log_token",
        "get_xf_job_result_token",
        "get_xf_task_config_token",
        "get_xf_task_type_config_token",
        "get_xf_userdata_token",
        "get_xf_workflow_config_token",
    ),
    "xfworker.api.facade.functions.parameters": (
        "create_parameter",
        "format_version",
        "get_parameter_file_references",
        "parse_version",
    ),
    "xfworker.api.facade.functions.queries": (
        "get_xf_combined_query",
        "get_xf_parameter_float_sequence",
        "get_xf_parameter_paired_float_sequences",
        "get_xf_parameter_paired_sequences",
        "get_xf_parameter_sequence",
    ),
    "xfworker.api.facade.functions.records": (
        "create_xf_job",
        "create_xf_task",
        "get_xf_db_entity_by_uuid",
        "get_xf_job",
        "get_xf_jobs_by_task",
        "get_xf_jobs_by_workflow",
        "get_xf_project",
        "get_xf_projects",
        "get_xf_task",
        "get_xf_task_type",
        "get_xf_task_types",
        "get_xf_tasks_by_workflow",
        "get_xf_workflow",
        "get_xf_workflow_run",
        "get_xf_workflows_by_project",
        "update_xf_job",
        "update_xf_project",
        "update_xf_task",
        "update_xf_workflow",
    ),
    "xfworker.api.facade.functions.sns": (
        "get_sns_server_connection",
        "get_xf_default_sns_server_connection_params",
    ),
    "xfworker.api.facade.worker_job": ("XFWorkerJob",),
    "xfworker.api.facade.working_directory": ("TemporaryWorkingDirectory",),
    "xfworker.domain.activity_log_level": ("ActivityLogLevel",),
}

__all__ = sorted(name for names in _HOMES.values() for name in names)  # noqa: PLE0605 - the stubs list them literally


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(__import__(home, fromlist=[name]), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
