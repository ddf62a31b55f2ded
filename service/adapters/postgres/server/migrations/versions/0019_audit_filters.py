"""The audit trail of an application, and that of an action, are each read in their own order."""

from alembic import op

revision = "0019"
down_revision = "0018"

_STATEMENTS = (
    "CREATE INDEX audit_event_action ON audit_event (org_id, action, id)",
    "CREATE INDEX audit_event_application ON audit_event (org_id, app_id, id) WHERE app_id IS NOT NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
