"""A success ends a delivery whichever process leases it; endpoints store why they are disabled; an index finds failing
endpoints."""

from alembic import op

revision = "0013"
down_revision = "0012"

_STATEMENTS = """
-- Another attempt succeeded while somebody held this one.
ALTER TABLE pending_delivery ADD COLUMN delivered boolean NOT NULL DEFAULT false;
-- It was asked for though the message was delivered before, so no success but its own ends it.
ALTER TABLE pending_delivery ADD COLUMN again boolean NOT NULL DEFAULT false;

ALTER TABLE endpoint ADD COLUMN disabled_reason text;
ALTER TABLE endpoint ADD COLUMN disabled_at timestamptz;
CREATE INDEX endpoint_failing ON endpoint (first_failure_at)
    WHERE first_failure_at IS NOT NULL AND NOT disabled AND deleted_at IS NULL;
CREATE INDEX endpoint_failing_of_organisation ON endpoint (org_id, first_failure_at)
    WHERE first_failure_at IS NOT NULL AND NOT disabled AND deleted_at IS NULL;
"""


def upgrade() -> None:
    for statement in _STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
