"""
Suites of tests that prove an adapter: one class per port, to inherit in your own test file.

- :class:`~xfworker.testing.contracts.file_store.FileStoreContract`: where files lie.
- :class:`~xfworker.testing.contracts.filesystem.FilesystemContract`: the local disks.
- :class:`~xfworker.testing.contracts.xf_server.XFServerContract`: what scripts ask of a server.
- :class:`~xfworker.testing.contracts.job_queue.JobQueueContract`: what workers ask of a server.
- :class:`~xfworker.testing.contracts.record_store.RecordStoreContract`: where the built-in server keeps its records.

A suite's docstring names the fixtures to give. Every test is a promise that the rest of the package relies on; where
one does not hold for your adapter, the adapter is not finished.
"""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{name}" for name in ("file_store", "filesystem", "xf_server", "job_queue", "record_store"))
)
