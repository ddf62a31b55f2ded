-- Replays: examines a stretch of messages and queues manual deliveries for those selected. A stretch costs what it
-- examines, not what it selects. Deliveries are queued under the task's id, so a repeated stretch queues nothing twice.
-- They carry the previous attempt's traceparent, to link the traces. A delivery of an undelivered message ends with any
-- success; one of a delivered message (`again`) only with its own. Without a task nothing is queued: what would be is
-- counted.

-- name: alone
-- Serialises the stretches of one endpoint, so that each sees the deliveries that the others queued. A statement of its
-- own, since the next statement's snapshot must be taken after the lock.
SELECT pg_advisory_xact_lock(hashtextextended(:endpoint, 0));

-- name: sent
-- The state of a delivery: a success stays one, a pending scheduled delivery is SENDING, others are as settled.
WITH settled AS MATERIALIZED (
    SELECT message_id, status, attempts FROM settled_delivery
    WHERE endpoint_id = :endpoint AND message_id > :after AND message_id <= :until
    ORDER BY message_id LIMIT :size
), scheduled AS MATERIALIZED (
    SELECT message_id, attempts FROM pending_delivery
    WHERE endpoint_id = :endpoint AND resend = '' AND NOT delivered AND message_id > :after AND message_id <= :until
    ORDER BY message_id LIMIT :size
), horizon AS (
    SELECT least(CASE WHEN (SELECT count(*) FROM settled) = :size THEN (SELECT max(message_id) FROM settled) END,
                 CASE WHEN (SELECT count(*) FROM scheduled) = :size THEN (SELECT max(message_id) FROM scheduled) END,
                 :until) AS reached
), standing AS (
    SELECT message_id,
           CASE WHEN s.status = 0 THEN 0 WHEN p.message_id IS NOT NULL THEN 3 ELSE s.status END AS status
    FROM settled s FULL JOIN scheduled p USING (message_id)
    WHERE coalesce(s.attempts, 0) + coalesce(p.attempts, 0) > 0 AND message_id <= (SELECT reached FROM horizon)
), chosen AS (
    SELECT m.id, m.deliver_at, standing.status = 0 AS again, CASE WHEN :task::text IS NOT NULL THEN (
        SELECT '00-' || a.trace_id || '-' || a.span_id || '-01' FROM attempt a
        WHERE a.message_id = m.id AND a.endpoint_id = :endpoint AND a.app_id = :app AND a.span_id IS NOT NULL
        ORDER BY a.id DESC LIMIT 1
    ) END AS previous
    FROM standing JOIN message m ON m.id = standing.message_id AND m.app_id = :app
    WHERE m.payload IS NOT NULL
      AND (:statuses::int[] IS NULL OR standing.status = ANY (:statuses))
      AND (:event_types::text[] IS NULL OR m.event_type = ANY (:event_types))
      AND (:channel::text IS NULL OR :channel = ANY (m.channels))
      AND (:tag::text IS NULL OR :tag = ANY (m.tags))
      AND (:code_class::int IS NULL OR (
          SELECT a.response_status_code / 100 * 100 FROM attempt a
          WHERE a.message_id = m.id AND a.endpoint_id = :endpoint AND a.app_id = :app ORDER BY a.id DESC LIMIT 1
      ) = :code_class)
      AND (:untried_since::text IS NULL OR NOT EXISTS (
          SELECT FROM pending_delivery p
          WHERE p.endpoint_id = :endpoint AND p.message_id = m.id AND p.resend <> '' AND p.app_id = :app
      ) AND NOT EXISTS (
          SELECT FROM attempt a
          WHERE a.message_id = m.id AND a.endpoint_id = :endpoint AND a.app_id = :app AND a.id >= :untried_since
      ))
), owed AS (
    INSERT INTO pending_delivery (endpoint_id, message_id, resend, org_id, app_id, due_at, previous, again)
    SELECT :endpoint, id, :task, :org, :app, greatest(now(), deliver_at), previous, again FROM chosen
    WHERE :task::text IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING message_id
)
SELECT CASE WHEN :task::text IS NULL THEN (SELECT count(*) FROM chosen) ELSE (SELECT count(*) FROM owed) END AS found,
       reached
FROM horizon;

-- name: missing
-- Messages that the endpoint wants, was never sent and has no pending delivery of. Which messages an endpoint wants is
-- decided in `domain/subscriptions.py` and repeated here; one table of cases tests both.
WITH stretch AS MATERIALIZED (
    SELECT id, event_type, channels, deliver_at, payload IS NOT NULL AS whole FROM message
    WHERE app_id = :app AND id > :after AND id <= :until ORDER BY id LIMIT :size
), chosen AS (
    SELECT m.id, m.deliver_at, NULL AS previous, false AS again FROM stretch m
    WHERE m.whole
      AND (:event_types::text[] IS NULL OR m.event_type = ANY (:event_types))
      AND (:channels::text[] IS NULL OR m.channels && :channels)
      AND NOT EXISTS (SELECT FROM settled_delivery s
                      WHERE s.endpoint_id = :endpoint AND s.message_id = m.id AND s.attempts > 0)
      AND NOT EXISTS (SELECT FROM pending_delivery p WHERE p.endpoint_id = :endpoint AND p.message_id = m.id)
), owed AS (
    INSERT INTO pending_delivery (endpoint_id, message_id, resend, org_id, app_id, due_at, previous, again)
    SELECT :endpoint, id, :task, :org, :app, greatest(now(), deliver_at), previous, again FROM chosen
    WHERE :task::text IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING message_id
)
SELECT CASE WHEN :task::text IS NULL THEN (SELECT count(*) FROM chosen) ELSE (SELECT count(*) FROM owed) END AS found,
       CASE WHEN (SELECT count(*) FROM stretch) = :size THEN (SELECT max(id) FROM stretch) ELSE :until END AS reached;
