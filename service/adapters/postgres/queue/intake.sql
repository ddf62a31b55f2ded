-- name: accept
-- Accepts a batch: claims idempotency keys and event ids, inserts the messages, and inserts one delivery for each
-- endpoint that wants them (fan-out). Rows are inserted in sorted order, so that two batches never deadlock. Which
-- endpoint wants a message is decided in `domain/subscriptions.py` and repeated here; one table of cases tests both.
WITH input AS MATERIALIZED (
    SELECT i.*, unchecked, CASE WHEN unchecked THEN NULL ELSE a.id END AS app_id, a.uid AS app_uid
    FROM unnest(
        :ids::text[], :org_ids::text[], :apps::text[], :event_ids::text[], :event_types::text[], :payloads::bytea[],
        :channels::text[], :tags::text[], :deliver_ats::timestamptz[], :expire_ats::timestamptz[],
        :correlation_ids::text[], :traceparents::text[], :scopes::bytea[], :fingerprints::bytea[],
        :checked_against::timestamptz[], :content_types::text[])
      AS i(id, org_id, app, event_id, event_type, payload, channels, tags,
           deliver_at, expires_at, correlation_id, traceparent, scope, fingerprint, checked_against, content_type)
    LEFT JOIN event_type t ON t.org_id = i.org_id AND t.name = i.event_type AND t.validate_payloads AND NOT t.archived
    CROSS JOIN LATERAL (SELECT t.name IS NOT NULL AND t.updated_at IS DISTINCT FROM i.checked_against) AS u(unchecked)
    LEFT JOIN LATERAL (
        SELECT id, uid FROM application WHERE id = i.app AND org_id = i.org_id AND deleted_at IS NULL
        UNION ALL
        SELECT id, uid FROM application WHERE org_id = i.org_id AND uid = i.app AND deleted_at IS NULL
        LIMIT 1
    ) a ON true
), claimed_event AS (
    INSERT INTO event_id (app_id, event_id, message_id)
    SELECT app_id, event_id, id FROM input
    WHERE app_id IS NOT NULL AND event_id IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM idempotency_key k
          WHERE k.scope = input.scope AND k.created_at >= now() - :keys_kept::interval
      )
    ORDER BY app_id, event_id
    ON CONFLICT DO NOTHING
    RETURNING message_id
), claimed_key AS (
    INSERT INTO idempotency_key (scope, fingerprint, message_id)
    SELECT DISTINCT ON (scope) scope, fingerprint, id FROM input
    WHERE app_id IS NOT NULL AND scope IS NOT NULL
      AND (event_id IS NULL OR id IN (SELECT message_id FROM claimed_event))
    ORDER BY scope, id
    ON CONFLICT (scope) DO UPDATE
    SET fingerprint = EXCLUDED.fingerprint, message_id = EXCLUDED.message_id, created_at = now()
    WHERE idempotency_key.created_at < now() - :keys_kept::interval
    RETURNING message_id
), admitted AS MATERIALIZED (
    SELECT * FROM input
    WHERE app_id IS NOT NULL
      AND (event_id IS NULL OR id IN (SELECT message_id FROM claimed_event))
      AND (scope IS NULL OR id IN (SELECT message_id FROM claimed_key))
), stored AS (
    INSERT INTO message (id, org_id, app_id, event_id, event_type, payload, channels, tags,
                         deliver_at, expires_at, correlation_id, traceparent, content_type)
    SELECT id, org_id, app_id, event_id, event_type, payload, string_to_array(channels, ','),
           string_to_array(tags, ','), deliver_at, expires_at, correlation_id, traceparent, content_type
    FROM admitted
), owed AS (
    INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at)
    SELECT e.id, m.id, m.org_id, m.app_id, coalesce(m.deliver_at, now())
    FROM admitted m
    JOIN endpoint e ON e.app_id = m.app_id AND e.deleted_at IS NULL AND NOT e.disabled
     AND (e.event_types IS NULL OR m.event_type = ANY (e.event_types))
     AND (e.channels IS NULL OR e.channels && string_to_array(m.channels, ','))
    RETURNING message_id
)
SELECT input.id, input.unchecked, input.app_id, input.app_uid, input.id IN (SELECT id FROM admitted) AS admitted,
       (SELECT count(*) FROM owed WHERE owed.message_id = input.id) AS deliveries
FROM input;

-- name: release_event_ids
-- Removes event ids that were claimed by messages which then lost the race for their idempotency key.
DELETE FROM event_id WHERE message_id = ANY (:ids::text[]);

-- name: first_uses
SELECT scope, fingerprint, message_id FROM idempotency_key
WHERE scope = ANY (:scopes::bytea[]) AND created_at >= now() - :keys_kept::interval;
