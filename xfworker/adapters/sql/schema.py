"""Brings a database to the schema of this version, with a backup of what is in it first."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from xfworker.adapters.sql.engine import WRITES
from xfworker.domain.errors import ConfigurationError
from xfworker.services.event_log import EventLog

MIGRATIONS = Path(__file__).with_name("migrations")
"""The folder of the migrations."""

_UPGRADING = 0x78667704

_log = EventLog("xfworker.sql")


def upgrade(engine: Engine, back_up: Callable[[str], Path]) -> str:
    """
    Bring a database to the newest schema and give its revision.

    Args:
        engine: The database.
        back_up: Called with the old revision before a database that holds something is changed; gives where the backup
            is.

    Raises:
        ConfigurationError: The database cannot be opened, or was made by a newer version.
    """
    try:
        with engine.connect() as connection:
            before = _revision(connection)
        head = newest_revision()
        if before == head:
            return head
        _check_known(before, engine)
        if before is not None:
            path = back_up(before)
            _log.info("xfworker.schema_backed_up", revision=before, path=str(path))
        with engine.connect() as connection:
            connection.execution_options(**{WRITES: True})
            with connection.begin():
                if engine.dialect.name == "postgresql":
                    # Several servers may start at once; who comes second finds the new schema.
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADING})
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except DBAPIError as error:
        url = engine.url.render_as_string(hide_password=True)
        reason = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
        raise ConfigurationError(f"could not open the database {url}: {reason}") from None
    _log.info("xfworker.schema_upgraded", before=before, after=head)
    return head


def _check_known(revision: str | None, engine: Engine) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if revision is not None and revision not in known:
        url = engine.url.render_as_string(hide_password=True)
        raise ConfigurationError(
            f"the database {url} was made by a newer version of xfworker (schema {revision}); install that version"
        )


def current_revision(engine: Engine) -> str | None:
    """Give the revision of a database's schema, or ``None`` where it has none."""
    with engine.connect() as connection:
        return _revision(connection)


def newest_revision() -> str:
    """Give the revision of this version's schema."""
    return _scripts().get_current_head() or ""


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
