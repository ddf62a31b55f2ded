"""The audit trail may be shortened at its old end, by a transaction that says that this is what it does."""

from alembic import op

revision = "0008"
down_revision = "0007"

_STATEMENTS = (
    """
    CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND current_setting('relevo.audit_ends_before', true) <> '' THEN
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'the audit trail is append-only';
    END $$
    """,
    # Also in such a transaction nothing younger than what it names may go.
    """
    CREATE FUNCTION refuse_young() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.id >= current_setting('relevo.audit_ends_before', true) COLLATE "C" THEN
            RAISE EXCEPTION 'the audit trail is append-only';
        END IF;
        RETURN OLD;
    END $$
    """,
    """
    CREATE TRIGGER audit_event_keeps_young BEFORE DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION refuse_young()
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
