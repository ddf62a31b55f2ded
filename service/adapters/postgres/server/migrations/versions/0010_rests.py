"""Rests: endpoints that ask for fewer calls, or that are unreachable, get no attempts until a time that all processes
see."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE endpoint_rest (
            endpoint_id text COLLATE "C" PRIMARY KEY,
            rests smallint NOT NULL,
            until timestamptz NOT NULL
        ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1)
        """
    )
    op.execute("CREATE INDEX endpoint_rest_until ON endpoint_rest (until)")
