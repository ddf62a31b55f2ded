"""Hourly counts of organisations and applications; those of endpoints get what became of deliveries and latency."""

from alembic import op

revision = "0018"
down_revision = "0017"

_STATEMENTS = (
    """
    CREATE TABLE activity_hour (
        owner text COLLATE "C" NOT NULL,
        hour timestamptz NOT NULL,
        part smallint NOT NULL,
        org_id text COLLATE "C" NOT NULL,
        accepted integer NOT NULL,
        success integer NOT NULL,
        fail integer NOT NULL,
        exhausted integer NOT NULL,
        canceled integer NOT NULL,
        PRIMARY KEY (owner, hour, part)
    ) WITH (fillfactor = 70)
    """,
    "CREATE INDEX activity_hour_age ON activity_hour (hour)",
    "ALTER TABLE endpoint_hour ADD COLUMN exhausted integer NOT NULL DEFAULT 0",
    "ALTER TABLE endpoint_hour ADD COLUMN milliseconds bigint NOT NULL DEFAULT 0",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
