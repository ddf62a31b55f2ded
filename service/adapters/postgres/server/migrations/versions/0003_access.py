"""Revocations, the audit trail, and the event types of operational webhooks."""

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = (
    """
    CREATE TABLE revocation (
        id text COLLATE "C" PRIMARY KEY,
        org_id text COLLATE "C" NOT NULL,
        app_id text COLLATE "C" NOT NULL,
        token_id text COLLATE "C",
        session_id text COLLATE "C",
        issued_before timestamptz NOT NULL,
        effective_at timestamptz NOT NULL,
        forgettable_at timestamptz NOT NULL,
        written_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "CREATE INDEX revocation_written ON revocation (written_at)",
    "CREATE INDEX revocation_forgettable ON revocation (forgettable_at)",
    """
    CREATE TABLE audit_event (
        id text COLLATE "C" PRIMARY KEY,
        org_id text COLLATE "C" NOT NULL,
        action text NOT NULL,
        actor text NOT NULL,
        role text NOT NULL,
        token_id text,
        app_id text,
        target text,
        correlation_id text NOT NULL
    )
    """,
    "CREATE INDEX audit_event_page ON audit_event (org_id, id)",
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the audit trail is append-only';
    END $$
    """,
    """
    CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    # Their organisation owns the applications that operational webhooks go to, one for each tenant.
    """
    INSERT INTO event_type (org_id, name, description, archived, deprecated, created_at, updated_at)
    SELECT 'org_00000000000RelevoOperations', name, description, false, false, now(), now()
    FROM (VALUES
        ('endpoint.created', 'An endpoint was created.'),
        ('endpoint.updated', 'An endpoint was changed.'),
        ('endpoint.deleted', 'An endpoint was deleted.'),
        ('endpoint.disabled', 'An endpoint was switched off because it kept failing, or was gone.'),
        ('message.attempt.failing', 'A delivery has failed four times.'),
        ('message.attempt.exhausted', 'A delivery was given up.'),
        ('message.attempt.recovered', 'A delivery succeeded that had failed four times or more.')
    ) AS known(name, description)
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
