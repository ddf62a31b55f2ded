"""Schemas of event types stay as they are written: jsonb sorts their names."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.execute("ALTER TABLE event_type ALTER COLUMN schemas TYPE json")
