"""Listed tokens of organisations and their revocation; whatever is left of deleted applications' tokens ends."""

from alembic import op

revision = "0014"
down_revision = "0013"

_STATEMENTS = (
    """
    CREATE TABLE organisation_token (
        id text COLLATE "C" PRIMARY KEY,
        org_id text COLLATE "C" NOT NULL,
        name text NOT NULL,
        role text NOT NULL,
        digest text NOT NULL,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz
    )
    """,
    "CREATE INDEX organisation_token_page ON organisation_token (org_id, id)",
    # Releases from before pass over a revocation that names no application.
    "ALTER TABLE revocation ALTER COLUMN app_id DROP NOT NULL",
    "CREATE INDEX revocation_application ON revocation (app_id)",
    # No token of an application holds longer than 28 days.
    """
    INSERT INTO revocation (id, org_id, app_id, issued_before, effective_at, forgettable_at)
    SELECT 'rev_' || id, org_id, id, now() + interval '28 days', now(), now() + interval '29 days'
    FROM application WHERE deleted_at > now() - interval '28 days'
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
