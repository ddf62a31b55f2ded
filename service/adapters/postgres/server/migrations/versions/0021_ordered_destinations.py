"""Ordered destinations, what their consumers have read, and the streams of messages that both read.

An application has a row in `stream` once it has a destination. Its messages are numbered under that row's lock, so that
positions are in the order of commit.
"""

from alembic import op

revision = "0021"
down_revision = "0020"

_STATEMENTS = (
    """
    CREATE TABLE stream (
        app_id text COLLATE "C" PRIMARY KEY,
        head bigint NOT NULL,
        active boolean NOT NULL
    ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1)
    """,
    # Not on `head`, which every accept changes: such an update touches no index.
    "CREATE INDEX stream_active ON stream (app_id) WHERE active",
    """
    CREATE TABLE stream_message (
        app_id text COLLATE "C" NOT NULL,
        position bigint NOT NULL,
        message_id text COLLATE "C" NOT NULL,
        event_type text COLLATE "C" NOT NULL,
        channels text[],
        created_at timestamptz NOT NULL,
        PRIMARY KEY (app_id, position)
    )
    """,
    # Rows are written in the order of time, so a summary of each range of pages finds the old ones.
    "CREATE INDEX stream_message_age ON stream_message USING brin (created_at)",
    """
    CREATE TABLE destination (
        id text COLLATE "C" PRIMARY KEY,
        org_id text COLLATE "C" NOT NULL,
        app_id text COLLATE "C" NOT NULL REFERENCES application (id),
        uid text COLLATE "C",
        kind text NOT NULL,
        sealed bytea NOT NULL,
        secrets bytea,
        status text NOT NULL,
        batch_size integer NOT NULL,
        max_wait_secs integer NOT NULL,
        event_types text[],
        channels text[],
        metadata jsonb NOT NULL,
        position bigint NOT NULL,
        ahead bigint[] NOT NULL DEFAULT '{}',
        attempts integer NOT NULL DEFAULT 0,
        first_failed_at timestamptz,
        due_at timestamptz NOT NULL,
        failure_reason text,
        lease text,
        lease_until timestamptz,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1)
    """,
    # No index has a column that progress changes.
    "CREATE UNIQUE INDEX destination_uid ON destination (app_id, uid) WHERE uid IS NOT NULL",
    "CREATE INDEX destination_app ON destination (app_id, id)",
    """
    CREATE TABLE destination_consumer (
        destination_id text COLLATE "C" NOT NULL REFERENCES destination (id) ON DELETE CASCADE,
        consumer_id text COLLATE "C" NOT NULL,
        position bigint NOT NULL,
        polled bigint,
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (destination_id, consumer_id)
    ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1)
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
