-- name: claim
-- Destinations that are behind an active stream, those that are due longest first. Under a lease one is due at its end.
WITH due AS MATERIALIZED (
    SELECT d.id FROM stream s JOIN destination d ON d.app_id = s.app_id
    WHERE s.active AND d.status = 'enabled' AND d.kind = ANY (:kinds::text[]) AND d.position < s.head
      AND coalesce(d.lease_until, d.due_at) <= now()
    ORDER BY d.due_at LIMIT :most FOR UPDATE OF d SKIP LOCKED
)
UPDATE destination d SET lease = :lease, lease_until = now() + :lease_lasts::interval
FROM due WHERE d.id = due.id
RETURNING d.*;

-- name: next_due
SELECT extract(epoch FROM min(coalesce(d.lease_until, d.due_at)) - now())::float8
FROM stream s JOIN destination d ON d.app_id = s.app_id
WHERE s.active AND d.status = 'enabled' AND d.kind = ANY (:kinds::text[]) AND d.position < s.head;

-- name: advance
-- A success ends a series of failures, unless a part of the destination still fails. Says whether the destination is as
-- it was claimed, and not set aside for a move.
UPDATE destination
SET position = :position, ahead = :ahead::bigint[], lease_until = now() + :lease_lasts::interval,
    attempts = :attempts, first_failed_at = :first_failed_at, failure_reason = :reason,
    due_at = CASE WHEN :delay::interval IS NULL OR due_at >= now() + :aside::interval / 2 THEN due_at
                  ELSE now() + :delay END
WHERE id = :id AND lease = :lease
RETURNING status = 'enabled' AND updated_at = :claimed_at AND due_at < now() + :aside::interval / 2 AS unchanged;

-- name: fail
UPDATE destination
SET position = :position, ahead = :ahead::bigint[], lease = NULL, lease_until = NULL, attempts = :attempts,
    first_failed_at = :first_failed_at, due_at = now() + :delay::interval, failure_reason = :reason,
    status = CASE WHEN :disabled THEN 'disabled' ELSE status END
WHERE id = :id AND lease = :lease AND status = 'enabled' AND updated_at = :claimed_at
RETURNING true;

-- name: release
UPDATE destination
SET position = :position, ahead = :ahead::bigint[], lease = NULL, lease_until = NULL,
    due_at = CASE WHEN due_at < now() + :aside::interval / 2 THEN now() ELSE due_at END
WHERE id = :id AND lease = :lease
RETURNING true;

-- name: idle
-- Locks active streams that no destination seems to be behind. Whoever numbers a message, or enables a destination,
-- locks the stream's row too, so the next statement sees what they have committed.
SELECT app_id FROM stream s
WHERE active AND NOT EXISTS (
    SELECT FROM destination d
    WHERE d.app_id = s.app_id AND d.status = 'enabled' AND d.kind <> 'pollingEndpoint' AND d.position < s.head)
LIMIT :most FOR UPDATE SKIP LOCKED;

-- name: rest
UPDATE stream s SET active = false
WHERE app_id = ANY (:apps::text[]) AND active AND NOT EXISTS (
    SELECT FROM destination d
    WHERE d.app_id = s.app_id AND d.status = 'enabled' AND d.kind <> 'pollingEndpoint' AND d.position < s.head);

-- name: lag
-- Of each kind the destination that is furthest behind. `oldest` is the first message that it has not looked at.
SELECT d.kind, max(s.head - d.position) AS messages,
       coalesce(max(extract(epoch FROM now() - (
           SELECT created_at FROM stream_message m WHERE m.app_id = d.app_id AND m.position > d.position
           ORDER BY m.position LIMIT 1))), 0)::float8 AS seconds
FROM stream s JOIN destination d ON d.app_id = s.app_id
WHERE s.active AND d.status = 'enabled' AND d.kind <> 'pollingEndpoint' AND d.position < s.head
GROUP BY d.kind;
