"""Throttles: deliveries whose endpoint or application has a rate wait aside, and leave at that rate, whoever claims.

Each throttled endpoint and application has a row that says when its next delivery may leave. Whoever claims holds the
row, so the rate is kept exactly by any number of processes. What was not used is kept for `BURST` and then forgotten.
"""

from service.adapters.postgres.queue.claims import ENDPOINTS_A_ROUND, TAKE
from service.adapters.postgres.queue.rests import RESTING

BURST = 0.25
PACE = 0.03

# Goes from endpoint to endpoint of what waits, like CLAIM_BY_TURNS. An endpoint's deliveries leave in the order of
# their messages. Nobody waits for a row that somebody else holds: what is in there is being claimed.
CLAIM_THROTTLED = f"""
WITH RECURSIVE owed AS (
    (SELECT endpoint_id FROM pending_delivery WHERE throttled AND endpoint_id > $7 ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT p.endpoint_id FROM pending_delivery p WHERE p.throttled AND p.endpoint_id > o.endpoint_id
            ORDER BY p.endpoint_id LIMIT 1)
    FROM owed o WHERE o.endpoint_id IS NOT NULL
), round AS MATERIALIZED (
    SELECT endpoint_id FROM owed WHERE endpoint_id IS NOT NULL LIMIT {ENDPOINTS_A_ROUND}
), resting AS MATERIALIZED ({RESTING.format(source="round")}), lane AS MATERIALIZED (
    SELECT r.endpoint_id, e.app_id,
           CASE WHEN s.endpoint_id IS NULL THEN coalesce(share.room, $4::int) ELSE 0 END AS room,
           CASE WHEN e.active THEN e.throttle_rate END AS endpoint_rate,
           CASE WHEN e.active THEN e.app_rate END AS app_rate
    FROM round r LEFT JOIN unnest($5::text[], $6::int[]) AS share(endpoint_id, room) USING (endpoint_id)
    LEFT JOIN resting s USING (endpoint_id)
    CROSS JOIN LATERAL (
        SELECT e.*, a.throttle_rate AS app_rate, NOT e.disabled AND e.deleted_at IS NULL AS active
        FROM endpoint e JOIN application a ON a.id = e.app_id WHERE e.id = r.endpoint_id OFFSET 0
    ) e
), subject AS MATERIALIZED (
    SELECT endpoint_id AS id, endpoint_rate AS rate FROM lane WHERE endpoint_rate IS NOT NULL AND room > 0
    UNION
    SELECT app_id, app_rate FROM lane WHERE app_rate IS NOT NULL AND room > 0
), made AS (
    INSERT INTO throttle (id, next_at)
    SELECT id, now() FROM subject s WHERE (SELECT t.id FROM throttle t WHERE t.id = s.id) IS NULL ORDER BY id
    ON CONFLICT DO NOTHING
    RETURNING id
), held AS MATERIALIZED (
    SELECT s.id, s.rate, greatest(t.next_at, now() - interval '{BURST} s') AS next_at
    FROM subject s CROSS JOIN LATERAL (
        SELECT t.next_at FROM throttle t WHERE t.id = s.id AND t.next_at <= now() FOR UPDATE SKIP LOCKED
    ) t
), token AS MATERIALIZED (
    SELECT id, 1 + floor(extract(epoch FROM now() - next_at) * rate)::int AS count FROM held
), open AS (
    SELECT l.*, for_app.count AS app_tokens, least(l.room, for_endpoint.count, for_app.count) AS most
    FROM lane l
    LEFT JOIN token for_endpoint ON for_endpoint.id = l.endpoint_id
    LEFT JOIN token for_app ON for_app.id = l.app_id
    WHERE l.room > 0 AND (l.endpoint_rate IS NULL OR for_endpoint.id IS NOT NULL)
      AND (l.app_rate IS NULL OR for_app.id IS NOT NULL)
), ranked AS MATERIALIZED (
    SELECT d.*, o.app_id, o.endpoint_rate, o.app_rate, o.app_tokens,
           row_number() OVER (PARTITION BY o.app_id ORDER BY d.turn, d.message_id) AS app_turn
    FROM open o CROSS JOIN LATERAL (
        SELECT endpoint_id, message_id, resend, row_number() OVER (ORDER BY message_id) AS turn
        FROM pending_delivery p WHERE p.endpoint_id = o.endpoint_id AND p.throttled
        ORDER BY message_id LIMIT o.most
    ) d
), chosen AS MATERIALIZED (
    SELECT p.*, r.app_id, r.endpoint_rate, r.app_rate
    FROM (SELECT * FROM ranked WHERE app_rate IS NULL OR app_turn <= app_tokens ORDER BY turn, message_id) r
    CROSS JOIN LATERAL (
        SELECT p.endpoint_id, p.message_id, p.resend, now() AS due_at FROM pending_delivery p
        WHERE p.endpoint_id = r.endpoint_id AND p.message_id = r.message_id AND p.resend = r.resend AND p.throttled
        FOR UPDATE SKIP LOCKED
    ) p LIMIT $3
), paid AS (
    UPDATE throttle t SET next_at = h.next_at + make_interval(secs => s.count / h.rate::float8)
    FROM held h JOIN (
        SELECT used.id, count(*) AS count
        FROM chosen CROSS JOIN LATERAL (VALUES (endpoint_id, endpoint_rate), (app_id, app_rate)) AS used(id, rate)
        WHERE used.rate IS NOT NULL GROUP BY used.id
    ) s USING (id)
    WHERE t.id = h.id
    RETURNING t.id, t.next_at
{TAKE}
SELECT (SELECT CASE WHEN count(*) = {ENDPOINTS_A_ROUND} THEN max(endpoint_id) ELSE '' END FROM round) AS cursor,
       CASE WHEN EXISTS (SELECT FROM made) THEN 0 ELSE (
           SELECT extract(epoch FROM min(greatest(
               (SELECT coalesce(p.next_at, t.next_at) FROM throttle t LEFT JOIN paid p USING (id)
                WHERE t.id = l.endpoint_id AND l.endpoint_rate IS NOT NULL),
               (SELECT coalesce(p.next_at, t.next_at) FROM throttle t LEFT JOIN paid p USING (id)
                WHERE t.id = l.app_id AND l.app_rate IS NOT NULL)
           )) - now())::float8 FROM lane l
       ) END AS next_turn,
       c.*
FROM (VALUES (1)) AS always(one) LEFT JOIN full_claim c ON true
"""

# Beyond the burst, a row says the same as none: of endpoints that are deleted, or have no throttle any more, for ever.
FORGET_THROTTLES = """
DELETE FROM throttle WHERE id = ANY (ARRAY(
    SELECT id FROM throttle WHERE next_at < $1::timestamptz - interval '1 hour' LIMIT $2 FOR UPDATE SKIP LOCKED))
"""
