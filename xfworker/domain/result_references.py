"""Which files of job results outputs name, and what to say of those that are not stored."""

from collections.abc import Mapping
from typing import Any

from xfworker.domain.files import Resource, reference_resource
from xfworker.domain.parameters import file_references

JOB_RESULT = "job_result"


def named_results(outputs: Mapping[str, Any]) -> dict[Resource, str]:
    """
    Give every file of a job's results that outputs name, with the key of the first output that names it.

    Raises:
        InvalidParameter: A reference is not one.
        FileError: A reference has no serial.
    """
    named: dict[Resource, str] = {}
    for key, value in outputs.items():
        for reference in file_references(value):
            if reference.get("source") == JOB_RESULT:
                named.setdefault(reference_resource(reference), key)
    return named


def folder_of(file: Resource) -> Resource:
    """Give the folder of a job's results that a file lies in."""
    return Resource(file.segments[:-1])
