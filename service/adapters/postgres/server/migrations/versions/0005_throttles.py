"""Throttles, and first attempts found apart from retries."""

from alembic import op

revision = "0005"
down_revision = "0004"

_STATEMENTS = """
ALTER TABLE pending_delivery ADD COLUMN throttled boolean NOT NULL DEFAULT false;
CREATE INDEX pending_delivery_throttled ON pending_delivery (endpoint_id, message_id) WHERE throttled;

CREATE TABLE throttle (
    id text COLLATE "C" PRIMARY KEY,
    next_at timestamptz NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1);
CREATE INDEX endpoint_throttled ON endpoint (id) WHERE throttle_rate IS NOT NULL;
CREATE INDEX application_throttled ON application (id) WHERE throttle_rate IS NOT NULL;

CREATE INDEX pending_delivery_first_due ON pending_delivery (due_at) WHERE attempts = 0;
CREATE INDEX pending_delivery_again_due ON pending_delivery (due_at) WHERE attempts > 0;
CREATE INDEX pending_delivery_endpoint_first_due ON pending_delivery (endpoint_id, due_at) WHERE attempts = 0;
CREATE INDEX pending_delivery_endpoint_again_due ON pending_delivery (endpoint_id, due_at) WHERE attempts > 0;
DROP INDEX pending_delivery_due;
DROP INDEX pending_delivery_endpoint_due;
"""


def upgrade() -> None:
    for statement in _STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
