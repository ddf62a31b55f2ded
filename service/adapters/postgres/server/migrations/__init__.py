"""Alembic's migrations. `env.py` runs on the connection that `schema.py` passes."""
