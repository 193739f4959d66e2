"""The keys of a job's metadata that the platform keeps itself; scripts and people read them and cannot write them."""

from collections.abc import Mapping
from typing import Any

ABORT_REQUESTED = "abort_requested"
"""Who wants a running job to stop, and since when."""
FILES_DELETED = "files_deleted"
"""Who deleted the job's files for good, and when."""
LOST_ATTEMPTS = "lost_attempts"
"""One sentence for each attempt whose worker stopped answering, since the job was started or restarted."""
OUTCOME = "outcome"
"""How the script ended."""
OUTPUT_FAULTS = "output_faults"
"""What was accepted about outputs although it does not fit the interface."""
SPAWNED_BY = "spawned_by_job"
"""The job whose script made this one."""
VALUES_CHANGED = "values_changed"
"""Whether the sequences that a job works on got more values since it was handed out."""
WORKER_MISSING = "worker_missing"
"""Which dependency packages no worker has."""

WORKED_ON_BY = "worked_on_by"
"""Who has begun to work on a job that waits for a person, and since when; a note for others, which binds nobody."""

PLATFORM_KEYS = frozenset(
    {ABORT_REQUESTED, FILES_DELETED, LOST_ATTEMPTS, OUTCOME, OUTPUT_FAULTS, SPAWNED_BY, VALUES_CHANGED, WORKER_MISSING}
)
"""All of them."""

ERROR_MESSAGE = "error_message"
"""What people read about a failure; a script may write it as well."""

PROGRESS_KEYS = frozenset({"estimated_duration_seconds", "progress_percentage"})
"""How far a script is, as it reports itself."""

_OF_ONE_ATTEMPT = frozenset(
    {
        ERROR_MESSAGE,
        OUTCOME,
        *PROGRESS_KEYS,
        "output_units",
        ABORT_REQUESTED,
        FILES_DELETED,
        VALUES_CHANGED,
        WORKED_ON_BY,
        WORKER_MISSING,
    }
)


def of_new_attempt(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Give a job's metadata without what an earlier attempt left in it."""
    return {key: value for key, value in metadata.items() if key not in _OF_ONE_ATTEMPT}


def of_restart(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Give a job's metadata as they are when it begins anew: lost workers are no longer counted."""
    return {key: value for key, value in of_new_attempt(metadata).items() if key != LOST_ATTEMPTS}


def lost_attempts(metadata: Mapping[str, Any]) -> list[str]:
    """Give the attempts that were lost; nothing where an older server let something else be written there."""
    listed = metadata.get(LOST_ATTEMPTS)
    return [str(item) for item in listed] if isinstance(listed, list) else []


def without_platform_keys(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a caller may set of a new job's metadata."""
    return {key: value for key, value in metadata.items() if key not in PLATFORM_KEYS}


def kept_platform_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """
    Keep the platform's keys through a change of the metadata by a caller.

    Returns:
        The metadata with the platform's keys as they were, and one error for each that the caller tried to set.
    """
    errors = [
        f"metadata.{key}: the platform sets it, so it cannot be changed"
        for key in sorted(PLATFORM_KEYS)
        if key in after and (key not in before or after[key] != before[key])
    ]
    return {**after, **{key: before[key] for key in PLATFORM_KEYS if key in before}}, errors
