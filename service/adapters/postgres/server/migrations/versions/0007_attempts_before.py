"""The attempt before: what a later attempt's trace is linked to."""

from alembic import op

revision = "0007"
down_revision = "0006"

_STATEMENTS = (
    "ALTER TABLE pending_delivery ADD COLUMN previous text",
    "ALTER TABLE attempt ADD COLUMN span_id text",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
