"""Background tasks, and what became of each endpoint's attempts by the hour."""

from alembic import op

revision = "0002"
down_revision = "0001"

_STATEMENTS = """
CREATE TABLE background_task (
    id text COLLATE "C" PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL,
    app_id text COLLATE "C",
    kind text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    params jsonb NOT NULL,
    cursor text COLLATE "C" NOT NULL,
    data jsonb NOT NULL,
    failures smallint NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    lease text COLLATE "C",
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX background_task_page ON background_task (org_id, id);
CREATE INDEX background_task_due ON background_task (due_at) WHERE status = 'running';

CREATE TABLE endpoint_hour (
    endpoint_id text COLLATE "C" NOT NULL,
    hour timestamptz NOT NULL,
    part smallint NOT NULL,
    org_id text COLLATE "C" NOT NULL,
    app_id text COLLATE "C" NOT NULL,
    success integer NOT NULL,
    fail integer NOT NULL,
    canceled integer NOT NULL,
    PRIMARY KEY (endpoint_id, hour, part)
) WITH (fillfactor = 70);
CREATE INDEX endpoint_hour_age ON endpoint_hour (hour);
"""


def upgrade() -> None:
    for statement in _STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
