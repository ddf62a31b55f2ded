"""Consumers of polled destinations that acknowledge by iterators."""

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.execute("ALTER TABLE destination_consumer ADD COLUMN acknowledges boolean NOT NULL DEFAULT false")
