"""Organisations move from one database to another.

`tenant_move` is filled in the database that is home, `tenant_change` in the one that an organisation leaves. The
triggers that fill `tenant_change` are made by each move, and dropped by it.
"""

from alembic import op

revision = "0025"
down_revision = "0024"

_STATEMENTS = (
    """
    CREATE TABLE tenant_move (
        org_id text COLLATE "C" PRIMARY KEY,
        source text NOT NULL,
        target text NOT NULL,
        step text NOT NULL,
        cancelled boolean NOT NULL DEFAULT false,
        cursor text,
        copied bigint NOT NULL DEFAULT 0,
        mover bigint NOT NULL DEFAULT 0,
        started_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    # One at a time.
    "CREATE UNIQUE INDEX tenant_move_alone ON tenant_move ((true))",
    """
    CREATE TABLE tenant_change (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        org_id text COLLATE "C" NOT NULL,
        belonging text NOT NULL,
        key text[] NOT NULL
    )
    """,
    # Each mover has a greater number than those before it. The last one may change the organisation's row, and what it
    # has in this database.
    "CREATE SEQUENCE tenant_mover",
    "ALTER TABLE organisation ADD COLUMN mover bigint",
    # Whose the key is, where it is not that of a message. Rows of the release before have none, and last for hours.
    'ALTER TABLE idempotency_key ADD COLUMN org_id text COLLATE "C"',
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
