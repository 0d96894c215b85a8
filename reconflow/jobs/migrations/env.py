"""Run by Alembic, on the connection that `reconflow.jobs.database` holds."""

from alembic import context

from reconflow.jobs.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
