-- name: failing
-- Examines the longest failing endpoints, and leaves out those without a recent failed attempt.
SELECT e.id, e.uid, e.app_id, a.uid AS app_uid, e.url, e.first_failure_at, h.failures
FROM (SELECT id, uid, app_id, url, first_failure_at FROM endpoint
      WHERE org_id = :org AND first_failure_at IS NOT NULL AND NOT disabled AND deleted_at IS NULL
      ORDER BY first_failure_at LIMIT :looked_at) e
JOIN application a ON a.id = e.app_id
CROSS JOIN LATERAL (
    SELECT sum(fail) AS failures FROM endpoint_hour c
    WHERE c.endpoint_id = e.id AND c.hour >= now() - :recent::interval
) h
WHERE h.failures > 0
ORDER BY e.first_failure_at, e.id LIMIT :size;

-- name: condition
SELECT e.first_failure_at,
       (SELECT r.until FROM endpoint_rest r WHERE r.endpoint_id = e.id AND r.until > now()) AS rests_until
FROM endpoint e WHERE e.id = :endpoint AND e.app_id = :app;

-- name: count_failing
WITH failing AS MATERIALIZED (
    SELECT e.first_failure_at FROM endpoint e
    WHERE e.first_failure_at <= now() AND NOT e.disabled AND e.deleted_at IS NULL
      AND EXISTS (SELECT FROM endpoint_hour c
                  WHERE c.endpoint_id = e.id AND c.hour >= now() - :recent::interval AND c.fail > 0)
    ORDER BY e.first_failure_at LIMIT :looked_at
)
SELECT a.place, count(f.first_failure_at) AS count
FROM unnest(:ages::interval[]) WITH ORDINALITY AS a(age, place)
LEFT JOIN failing f ON f.first_failure_at <= now() - a.age
GROUP BY a.place ORDER BY a.place;
