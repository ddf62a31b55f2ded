"""The first schema."""

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = """
CREATE TABLE application (
    id text COLLATE "C" PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL,
    uid text COLLATE "C",
    name text NOT NULL,
    throttle_rate integer,
    metadata jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE UNIQUE INDEX application_uid ON application (org_id, uid) WHERE uid IS NOT NULL;
CREATE INDEX application_page ON application (org_id, id) WHERE deleted_at IS NULL;

CREATE TABLE endpoint (
    id text COLLATE "C" PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL,
    app_id text COLLATE "C" NOT NULL REFERENCES application,
    uid text COLLATE "C",
    url text NOT NULL,
    description text NOT NULL,
    version integer NOT NULL,
    disabled boolean NOT NULL,
    throttle_rate integer,
    event_types text[],
    channels text[],
    metadata jsonb NOT NULL,
    secrets bytea NOT NULL,
    headers bytea NOT NULL,
    first_failure_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE UNIQUE INDEX endpoint_uid ON endpoint (app_id, uid) WHERE uid IS NOT NULL;
CREATE INDEX endpoint_page ON endpoint (app_id, id);

CREATE TABLE event_type (
    org_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    description text NOT NULL,
    archived boolean NOT NULL,
    deprecated boolean NOT NULL,
    schemas jsonb,
    feature_flags text[],
    group_name text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, name)
);

CREATE TABLE message (
    id text COLLATE "C" PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL,
    app_id text COLLATE "C" NOT NULL,
    event_id text COLLATE "C",
    event_type text COLLATE "C" NOT NULL,
    payload bytea,
    channels text[],
    tags text[],
    deliver_at timestamptz,
    expires_at timestamptz NOT NULL,
    correlation_id text NOT NULL,
    traceparent text
) PARTITION BY RANGE (id);
CREATE INDEX message_page ON message (app_id, id);
CREATE TABLE message_default PARTITION OF message DEFAULT;

CREATE TABLE event_id (
    app_id text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (app_id, event_id)
);
CREATE INDEX event_id_age ON event_id (message_id);

CREATE TABLE pending_delivery (
    endpoint_id text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    resend text COLLATE "C" NOT NULL DEFAULT '',
    org_id text COLLATE "C" NOT NULL,
    app_id text COLLATE "C" NOT NULL,
    attempts smallint NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    lease text COLLATE "C",
    PRIMARY KEY (endpoint_id, message_id, resend)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX pending_delivery_due ON pending_delivery (due_at);
CREATE INDEX pending_delivery_endpoint_due ON pending_delivery (endpoint_id, due_at);

CREATE TABLE settled_delivery (
    message_id text COLLATE "C" NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    org_id text COLLATE "C" NOT NULL,
    app_id text COLLATE "C" NOT NULL,
    status smallint NOT NULL,
    attempts smallint NOT NULL,
    PRIMARY KEY (message_id, endpoint_id)
) PARTITION BY RANGE (message_id);
CREATE INDEX settled_delivery_endpoint ON settled_delivery (endpoint_id, message_id);
CREATE TABLE settled_delivery_default PARTITION OF settled_delivery DEFAULT;

CREATE TABLE attempt (
    id text COLLATE "C" PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL,
    app_id text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    channels text[],
    url text NOT NULL,
    status smallint NOT NULL,
    response text NOT NULL,
    response_status_code smallint NOT NULL,
    duration_ms integer NOT NULL,
    trigger smallint NOT NULL,
    number smallint NOT NULL,
    error_type text,
    trace_id text
) PARTITION BY RANGE (id);
CREATE INDEX attempt_message ON attempt (message_id, id);
CREATE INDEX attempt_endpoint ON attempt (endpoint_id, id);
CREATE TABLE attempt_default PARTITION OF attempt DEFAULT;

CREATE TABLE idempotency_key (
    scope bytea PRIMARY KEY,
    fingerprint bytea NOT NULL,
    message_id text COLLATE "C",
    status smallint,
    body bytea,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_key_age ON idempotency_key (created_at);
"""


def upgrade() -> None:
    for statement in _STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
