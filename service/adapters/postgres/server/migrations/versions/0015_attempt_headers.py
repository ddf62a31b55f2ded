"""What went out with an attempt and what came back, as JSON: written once and read as a whole, so no jsonb."""

from alembic import op

revision = "0015"
down_revision = "0014"

_STATEMENTS = (
    "ALTER TABLE attempt ADD COLUMN request_headers text",
    "ALTER TABLE attempt ADD COLUMN response_headers text",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
