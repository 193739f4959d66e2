"""The suites are plain modules, so their asserts must be asked to explain themselves."""

import pytest

for suite in (
    "worlds",
    "xf_server",
    "job_queue",
    "record_store",
    "facade_project",
    "facade_records",
    "facade_job",
    "facade_files",
):
    pytest.register_assert_rewrite(f"tests.contract.suites.{suite}")
