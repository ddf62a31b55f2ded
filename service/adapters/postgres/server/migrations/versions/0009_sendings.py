"""Imports know which sending of their file they are about, and are found by when they were last heard of."""

from alembic import op

revision = "0009"
down_revision = "0008"

_STATEMENTS = (
    """ALTER TABLE message_import ADD COLUMN sending text COLLATE "C" NOT NULL DEFAULT ''""",
    "CREATE INDEX message_import_age ON message_import (updated_at)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
