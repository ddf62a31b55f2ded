"""Runs the migrations on the connection that `server/schema.py` passes; Alembic imports this file."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
