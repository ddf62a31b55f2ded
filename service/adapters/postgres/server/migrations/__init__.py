"""Alembic's side of the schema: `env.py` runs on a connection that `schema.py` hands it."""
