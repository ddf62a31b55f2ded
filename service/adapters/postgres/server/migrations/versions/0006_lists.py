"""Each filter of a list has an index that holds what it wants in the list's order."""

from alembic import op

revision = "0006"
down_revision = "0005"

_STATEMENTS = (
    "CREATE INDEX message_event_type ON message (app_id, event_type, id)",
    "CREATE INDEX attempt_event_type ON attempt (endpoint_id, event_type, id)",
    "CREATE INDEX attempt_end ON attempt (endpoint_id, status, (response_status_code / 100), id)",
    "CREATE INDEX settled_delivery_status ON settled_delivery (endpoint_id, status, message_id)",
    # Messages that an endpoint is sent again, in their order; those that wait for their first attempt are not there.
    """
    CREATE INDEX pending_delivery_tried ON pending_delivery (endpoint_id, message_id)
    WHERE attempts > 0 AND resend = ''
    """,
    # What was deleted is passed over by accepting and listing, however much of it there is.
    "CREATE INDEX endpoint_live ON endpoint (app_id, id) WHERE deleted_at IS NULL",
    "CREATE INDEX background_task_of_app ON background_task (app_id, id) WHERE app_id IS NOT NULL",
    "CREATE INDEX background_task_running ON background_task (org_id, id) WHERE status = 'running'",
    """
    CREATE TABLE message_label (
        app_id text COLLATE "C" NOT NULL,
        label text COLLATE "C" NOT NULL,
        message_id text COLLATE "C" NOT NULL,
        PRIMARY KEY (app_id, label, message_id)
    ) PARTITION BY RANGE (message_id)
    """,
    "CREATE TABLE message_label_default PARTITION OF message_label DEFAULT",
    """
    DO $$
    DECLARE week record;
    BEGIN
        FOR week IN SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds
                    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                    WHERE i.inhparent = 'message'::regclass AND c.relname <> 'message_default' LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF message_label %s',
                           replace(week.relname, 'message_', 'message_label_'), week.bounds);
        END LOOP;
    END $$
    """,
    # A trigger, so that what the release before accepts meanwhile is found too. Most messages do not wake it.
    """
    CREATE FUNCTION label_message() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO message_label (app_id, label, message_id)
        SELECT DISTINCT NEW.app_id, said.label, NEW.id
        FROM (SELECT 'channel:' || unnest(NEW.channels) UNION ALL SELECT 'tag:' || unnest(NEW.tags)) AS said(label);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER message_labelled AFTER INSERT ON message FOR EACH ROW
    WHEN (NEW.channels IS NOT NULL OR NEW.tags IS NOT NULL) EXECUTE FUNCTION label_message()
    """,
    """
    INSERT INTO message_label (app_id, label, message_id)
    SELECT DISTINCT m.app_id, said.label, m.id
    FROM message m, LATERAL (
        SELECT 'channel:' || unnest(m.channels) UNION ALL SELECT 'tag:' || unnest(m.tags)
    ) AS said(label)
    WHERE m.channels IS NOT NULL OR m.tags IS NOT NULL
    """,
    "DROP INDEX message_tags",
    "DROP INDEX message_channels",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
