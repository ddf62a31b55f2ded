-- What is set aside is due a thousand years later. Deliveries are set aside by the batch, without those that somebody is
-- just changing: the mover asks again, until nothing is under way.

-- name: put_aside_deliveries
-- A lease that has ended is nobody's. A throttled delivery is due when it is looked at again.
WITH chosen AS MATERIALIZED (
    SELECT p.endpoint_id, p.message_id, p.resend
    FROM application a JOIN endpoint e ON e.app_id = a.id JOIN pending_delivery p ON p.endpoint_id = e.id
    WHERE (a.org_id = :org_id OR a.org_id = :operations AND a.uid = :org_id)
      AND p.due_at < now() + :aside::interval / 2 AND (p.lease IS NULL OR p.due_at <= now())
    LIMIT :batch FOR UPDATE OF p SKIP LOCKED
)
UPDATE pending_delivery p
SET due_at = CASE WHEN p.throttled THEN now() ELSE p.due_at END + :aside::interval, lease = NULL, throttled = false
FROM chosen d
WHERE p.endpoint_id = d.endpoint_id AND p.message_id = d.message_id AND p.resend = d.resend;

-- name: put_back_deliveries
WITH chosen AS MATERIALIZED (
    SELECT p.endpoint_id, p.message_id, p.resend
    FROM application a JOIN endpoint e ON e.app_id = a.id JOIN pending_delivery p ON p.endpoint_id = e.id
    WHERE (a.org_id = :org_id OR a.org_id = :operations AND a.uid = :org_id)
      AND p.due_at >= now() + :aside::interval / 2
    LIMIT :batch
), locked AS MATERIALIZED (  -- in the order in which everybody locks; none is passed over
    SELECT endpoint_id, message_id, resend FROM chosen JOIN pending_delivery p USING (endpoint_id, message_id, resend)
    ORDER BY endpoint_id, message_id, resend FOR UPDATE OF p
)
UPDATE pending_delivery p SET due_at = p.due_at - :aside::interval
FROM locked d
WHERE p.endpoint_id = d.endpoint_id AND p.message_id = d.message_id AND p.resend = d.resend
  AND p.due_at >= now() + :aside::interval / 2;

-- name: put_aside_tasks
-- The lease is taken away: a batch that is at work stores nothing, and is done again.
UPDATE background_task t
SET due_at = CASE WHEN lease IS NULL THEN due_at ELSE now() END + :aside::interval, lease = NULL
WHERE status = 'running' AND due_at < now() + :aside::interval / 2
  AND (org_id = :org_id OR app_id IN (SELECT id FROM application WHERE org_id = :operations AND uid = :org_id));

-- name: put_back_tasks
UPDATE background_task t SET due_at = due_at - :aside::interval
WHERE due_at >= now() + :aside::interval / 2
  AND (org_id = :org_id OR app_id IN (SELECT id FROM application WHERE org_id = :operations AND uid = :org_id));

-- name: put_aside_destinations
-- The reader that has a lease gives it back after its batch.
UPDATE destination d
SET due_at = CASE WHEN due_at < now() + :aside::interval / 2 THEN due_at + :aside::interval ELSE due_at END,
    lease = CASE WHEN lease_until > now() THEN lease END,
    lease_until = CASE WHEN lease_until > now() THEN lease_until END
WHERE app_id IN (SELECT id FROM application WHERE org_id = :org_id OR org_id = :operations AND uid = :org_id)
  AND (due_at < now() + :aside::interval / 2 OR lease_until <= now());

-- name: put_back_destinations
-- A stream that has come before its destination may have been set at rest.
WITH apps AS MATERIALIZED (
    SELECT id FROM application WHERE org_id = :org_id OR org_id = :operations AND uid = :org_id
), stirred AS (
    UPDATE stream SET active = true WHERE app_id = ANY (ARRAY(  -- locked in the order in which accepts lock them
        SELECT app_id FROM stream WHERE app_id IN (SELECT id FROM apps) ORDER BY app_id FOR UPDATE))
)
UPDATE destination d SET due_at = due_at - :aside::interval
WHERE app_id IN (SELECT id FROM apps) AND due_at >= now() + :aside::interval / 2;

-- name: under_way
SELECT EXISTS (
    SELECT FROM application a JOIN endpoint e ON e.app_id = a.id JOIN pending_delivery p ON p.endpoint_id = e.id
    WHERE (a.org_id = :org_id OR a.org_id = :operations AND a.uid = :org_id)
      AND p.due_at < now() + :aside::interval / 2
) OR EXISTS (
    SELECT FROM application a JOIN destination d ON d.app_id = a.id
    WHERE (a.org_id = :org_id OR a.org_id = :operations AND a.uid = :org_id)
      AND (d.lease IS NOT NULL OR d.due_at < now() + :aside::interval / 2)
) OR EXISTS (
    SELECT FROM background_task t
    WHERE t.status = 'running' AND t.due_at < now() + :aside::interval / 2
      AND (t.org_id = :org_id OR t.app_id IN (SELECT id FROM application WHERE org_id = :operations AND uid = :org_id))
);
