-- name: accept
-- Accepts a batch: claims idempotency keys and event ids, inserts the messages, and inserts one delivery for each
-- endpoint that wants them (fan-out). Deliveries that this process has room for are born leased to it, by the rules of a
-- claim; one contract tests both. There is a row for each message, or for each leased delivery of it. Rows are inserted in sorted order, so that two batches never deadlock. Which
-- endpoint wants a message is decided in `domain/subscriptions.py` and repeated here; one table of cases tests both.
-- Messages of an application that has a stream are numbered: the stream's row is locked from then to the commit, so the
-- positions are in the order of commits and a rollback leaves no gap. Every message is inserted here, so none is missed.
WITH input AS MATERIALIZED (
    SELECT i.*, unchecked, CASE WHEN unchecked THEN NULL ELSE a.id END AS app_id, a.uid AS app_uid
    FROM (
        SELECT * FROM ROWS FROM (
            json_to_recordset(:rows::json) AS (
                id text, org_id text, app text, event_id text, event_type text, channels text, tags text,
                deliver_at timestamptz, expires_at timestamptz, correlation_id text, traceparent text, scope bytea,
                fingerprint bytea, checked_against timestamptz, content_type text),
            unnest(:payloads::bytea[])
        ) WITH ORDINALITY AS r(id, org_id, app, event_id, event_type, channels, tags, deliver_at, expires_at,
               correlation_id, traceparent, scope, fingerprint, checked_against, content_type, payload, nth)
        LIMIT :size  -- all; without it a plan for 100 rows is made, and kept, which reads tables from end to end
    ) i
    LEFT JOIN event_type t ON t.org_id = i.org_id AND t.name = i.event_type AND t.validate_payloads AND NOT t.archived
    CROSS JOIN LATERAL (SELECT t.name IS NOT NULL AND t.updated_at IS DISTINCT FROM i.checked_against) AS u(unchecked)
    LEFT JOIN LATERAL (
        SELECT id, uid FROM application WHERE id = i.app AND org_id = i.org_id AND deleted_at IS NULL
        UNION ALL
        SELECT id, uid FROM application WHERE org_id = i.org_id AND uid = i.app AND deleted_at IS NULL
        LIMIT 1
    ) a ON true  -- or, where there are several databases, if the organisation lives here
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
), counted AS (
    INSERT INTO activity_hour AS c (owner, hour, part, org_id, accepted, success, fail, exhausted, canceled)
    SELECT owner, date_trunc('hour', now(), 'UTC'), pg_backend_pid() % 16, min(org_id), count(*), 0, 0, 0, 0
    FROM admitted CROSS JOIN LATERAL (VALUES (org_id), (app_id)) AS o(owner) GROUP BY owner ORDER BY owner
    ON CONFLICT (owner, hour, part) DO UPDATE SET accepted = c.accepted + excluded.accepted
    RETURNING owner
), numbered AS (  -- after `counted`, so that all transactions lock in the same order
    INSERT INTO stream AS s (app_id, head, active)
    SELECT app_id, count(*), true FROM admitted m
    WHERE EXISTS (SELECT FROM stream WHERE stream.app_id = m.app_id) AND (SELECT count(*) FROM counted) > 0
    GROUP BY app_id ORDER BY app_id
    ON CONFLICT (app_id) DO UPDATE SET head = s.head + excluded.head, active = true
    RETURNING app_id, head
), listed AS (
    INSERT INTO stream_message (app_id, position, message_id, event_type, channels, created_at)
    SELECT app_id, head - count(*) OVER (PARTITION BY app_id) + row_number() OVER (PARTITION BY app_id ORDER BY nth),
           id, event_type, string_to_array(channels, ','), clock_timestamp()
    FROM admitted JOIN numbered USING (app_id)
), wanted AS MATERIALIZED (
    SELECT m.id AS message_id, m.org_id, m.app_id, m.deliver_at, e.id AS endpoint_id
    FROM admitted m
    JOIN endpoint e ON e.app_id = m.app_id AND e.deleted_at IS NULL AND NOT e.disabled
     AND (e.event_types IS NULL OR m.event_type = ANY (e.event_types))
     AND (e.channels IS NULL OR e.channels && string_to_array(m.channels, ','))
), ready AS MATERIALIZED (  -- endpoints that a claim would serve now, and that nothing older waits for
    SELECT o.endpoint_id, coalesce(share.room, :share::int) AS room, e.url, e.headers, e.secrets,
           e.metadata ->> 'relevo.traceparent' = 'true' AS wants_trace
    FROM (SELECT DISTINCT endpoint_id, app_id FROM wanted WHERE deliver_at IS NULL AND :most::int > 0) o
    JOIN endpoint e ON e.id = o.endpoint_id
    JOIN application a ON a.id = o.app_id
    LEFT JOIN unnest(:others::text[], :rooms::int[]) AS share(endpoint_id, room) ON share.endpoint_id = o.endpoint_id
    WHERE coalesce(e.throttle_rate, a.throttle_rate) IS NULL
      AND (SELECT until FROM endpoint_rest r WHERE r.endpoint_id = o.endpoint_id AND r.until > now()) IS NULL
      AND (SELECT due_at FROM pending_delivery p  -- by a range, as in `claim_by_turns`
           WHERE p.attempts = 0 AND (p.endpoint_id, p.due_at) >= (o.endpoint_id, '-infinity')
             AND (p.endpoint_id, p.due_at) <= (o.endpoint_id, now())
           ORDER BY p.endpoint_id, p.due_at LIMIT 1) IS NULL
), leased AS MATERIALIZED (  -- each endpoint's first delivery comes before any endpoint's second
    SELECT message_id, r.* FROM (
        SELECT message_id, endpoint_id, row_number() OVER (PARTITION BY endpoint_id ORDER BY message_id) AS turn
        FROM wanted WHERE deliver_at IS NULL
    ) w JOIN ready r USING (endpoint_id)
    WHERE w.turn <= r.room
    ORDER BY w.turn, message_id LIMIT :most
), owed AS (
    INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at, lease)
    SELECT w.endpoint_id, w.message_id, w.org_id, w.app_id,
           CASE WHEN l.endpoint_id IS NULL THEN coalesce(w.deliver_at, now()) ELSE now() + :lease_lasts::interval END,
           CASE WHEN l.endpoint_id IS NOT NULL THEN :lease END
    FROM wanted w LEFT JOIN leased l USING (message_id, endpoint_id)
)
SELECT input.id, input.unchecked, input.app_id, input.app_uid, input.id IN (SELECT id FROM admitted) AS admitted,
       (SELECT count(*) FROM wanted WHERE wanted.message_id = input.id) AS deliveries,
       l.endpoint_id, l.url, l.headers, l.secrets, l.wants_trace, now() AS due_at,
       EXISTS (SELECT FROM numbered) AS numbered
FROM input LEFT JOIN leased l ON l.message_id = input.id;

-- name: release_event_ids
-- Removes event ids that were claimed by messages which then lost the race for their idempotency key.
DELETE FROM event_id WHERE message_id = ANY (:ids::text[]);

-- name: residents
SELECT org_id FROM organisation WHERE org_id = ANY (:org_ids::text[]) AND residence IN ('here', 'leaving');

-- name: first_uses
SELECT scope, fingerprint, message_id FROM idempotency_key
WHERE scope = ANY (:scopes::bytea[]) AND created_at >= now() - :keys_kept::interval;
