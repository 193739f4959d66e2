"""The environment in which a script starts: what is allowed of its runner's own, and what is its own."""

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from xfworker.domain.job_arguments import JOB_MEMORY, JobArguments

TEMPORARY_FOLDER = "XFTEMP"
"""The variable that names the folder for working directories."""

_OURS = ("XF_", "XFWORKER_")

ALLOWED_VARIABLES = (
    # Who and where.
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LANGUAGE", "LC_*", "TZ", "TZDIR", "DISPLAY"),
    # Shared libraries and the devices and threads of numerical ones.
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "CUDA_*", "NVIDIA_*", "ROCR_*", "HIP_*"),
    *("OMP_*", "MKL_*", "OPENBLAS_*", "NUMEXPR_*", "NUMBA_*", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    # Authorities for TLS.
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    # The network's proxies; left out where they hold a password.
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    # What a batch system assigned.
    *("SLURM_JOB_ID", "SLURM_CPUS_*", "SLURM_MEM_*", "SLURM_TMPDIR", "PBS_JOBID", "PBS_NUM_PPN", "NCPUS"),
    # Where a batch system's commands find it; scripts may submit batch jobs, such as workers of dask.
    *("SLURM_CONF", "PBS_CONF_FILE", "LSF_ENVDIR", "LSF_SERVERDIR", "CONDOR_CONFIG"),
    # What programs on Windows do not start without.
    *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "OS", "NUMBER_OF_PROCESSORS", "PROCESSOR_*"),
    *("USERNAME", "USERDOMAIN", "USERPROFILE", "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "ALLUSERSPROFILE"),
    *("PROGRAMDATA", "PROGRAMFILES*", "COMMONPROGRAMFILES*", "PUBLIC"),
)
"""The variables of a worker that its scripts get, as patterns of upper-case names; all others stay with the worker."""

_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"})


def allowed_variables(base: Mapping[str, str], also: Iterable[str] = ()) -> dict[str, str]:
    """
    Give those of a runner's variables that are not the runner's own business.

    A list of what is allowed and not of what is secret, because nobody knows all names that secrets have.

    Args:
        base: The environment of the runner.
        also: Patterns of further names, such as ``LICENSE_*``.
    """
    patterns = (*ALLOWED_VARIABLES, *(pattern.upper() for pattern in also))
    return {
        name: value
        for name, value in base.items()
        if any(fnmatchcase(name.upper(), pattern) for pattern in patterns)
        and not (name.upper() in _PROXIES and "@" in value)
    }


def script_environment(
    base: Mapping[str, str],
    arguments: JobArguments,
    *,
    temporary_folder: Path,
    module_folders: tuple[Path, ...] = (),
    settings: Mapping[str, str] | None = None,
    memory_limit_bytes: int | None = None,
) -> dict[str, str]:
    """
    Give the whole environment of a script.

    Args:
        base: The environment to start from. What is meant for the runner (``XF_*``, ``XFWORKER_*``) is left out.
        arguments: Which job the script works on, and where the server is.
        temporary_folder: Where the script makes its working directory, and every library its temporary files.
        module_folders: Folders in which it finds modules by bare name, before those of ``PYTHONPATH``.
        settings: Settings for the script, ``XFWORKER_*``.
        memory_limit_bytes: The most memory that it may take, of which it is informed.
    """
    kept = {name: value for name, value in base.items() if not name.upper().startswith(_OURS)}
    paths = [str(folder) for folder in module_folders]
    if kept.get("PYTHONPATH"):
        paths.append(kept["PYTHONPATH"])
    return {
        **kept,
        **(settings or {}),
        **arguments.to_environment(),
        **({} if memory_limit_bytes is None else {JOB_MEMORY: str(memory_limit_bytes)}),
        TEMPORARY_FOLDER: str(temporary_folder),
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary_folder)),
        "PYTHONPATH": os.pathsep.join(paths),
        # Output has to reach the log while the script runs, in UTF-8 whatever the machine's locale.
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        # A crash in native code leaves the Python stack in the log.
        "PYTHONFAULTHANDLER": "1",
    }
