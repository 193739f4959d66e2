"""What Alembic runs: migrations over the connection that :mod:`xfworker.adapters.sql.schema` hands over."""

from alembic import context

from xfworker.adapters.sql.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    transaction_per_migration=False,
    render_as_batch=True,
)
context.run_migrations()
