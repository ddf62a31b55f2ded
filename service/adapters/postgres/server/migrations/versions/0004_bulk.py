"""Payloads that event types vouch for, payloads that expire, filters of messages, files of messages."""

from alembic import op

revision = "0004"
down_revision = "0003"

_STATEMENTS = """
ALTER TABLE event_type ADD COLUMN validate_payloads boolean NOT NULL DEFAULT false;

-- What expires is found without a look at what is kept, and a payload that was removed leaves the index.
CREATE INDEX message_expiry ON message (expires_at) WHERE payload IS NOT NULL;
CREATE INDEX message_tags ON message USING gin (tags) WHERE tags IS NOT NULL;
CREATE INDEX message_channels ON message USING gin (channels) WHERE channels IS NOT NULL;

CREATE TABLE message_import (
    id text COLLATE "C" PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL,
    app_id text COLLATE "C" NOT NULL REFERENCES application,
    file_id text COLLATE "C" NOT NULL,
    status text NOT NULL,
    lines bigint NOT NULL,
    accepted bigint NOT NULL,
    repeated bigint NOT NULL,
    refused bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX message_import_file ON message_import (app_id, file_id);
CREATE INDEX message_import_page ON message_import (app_id, id);

CREATE TABLE message_import_fault (
    import_id text COLLATE "C" NOT NULL REFERENCES message_import ON DELETE CASCADE,
    line bigint NOT NULL,
    code text NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (import_id, line)
);
"""


def upgrade() -> None:
    for statement in _STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
