"""Sources: brokers that messages come in from."""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE source (
            id text COLLATE "C" PRIMARY KEY,
            org_id text COLLATE "C" NOT NULL,
            name text NOT NULL,
            kind text NOT NULL,
            place jsonb NOT NULL,
            sealed bytea NOT NULL,
            application text,
            event_type text,
            enabled boolean NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX source_by_org ON source (org_id, id)")
    op.execute(
        """
        CREATE TABLE source_reader (
            source_id text COLLATE "C" NOT NULL REFERENCES source ON DELETE CASCADE,
            reader text COLLATE "C" NOT NULL,
            state text NOT NULL,
            reason text,
            lag bigint,
            seen_at timestamptz NOT NULL,
            PRIMARY KEY (source_id, reader)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE source_fault (
            id text COLLATE "C" PRIMARY KEY,
            source_id text COLLATE "C" NOT NULL REFERENCES source ON DELETE CASCADE,
            position text COLLATE "C" NOT NULL,
            application text,
            event_type text,
            event_id text,
            code text NOT NULL,
            detail text NOT NULL,
            created_at timestamptz NOT NULL,
            UNIQUE (source_id, position)
        )
        """
    )
    op.execute("CREATE INDEX source_fault_by_source ON source_fault (source_id, id)")
