"""Sessions of the console."""

from alembic import op

revision = "0017"
down_revision = "0016"

_STATEMENTS = (
    """
    CREATE TABLE console_session (
        digest bytea PRIMARY KEY,
        org_id text COLLATE "C" NOT NULL,
        app_id text COLLATE "C",
        role text NOT NULL,
        capabilities text[] NOT NULL,
        feature_flags text[],
        token_id text,
        token_session_id text,
        token_issued_at double precision,
        token_granted_at double precision,
        token_expires_at double precision,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX console_session_expiry ON console_session (expires_at)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
