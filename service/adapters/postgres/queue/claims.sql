-- Claims: due deliveries, taken under a lease with all that an attempt needs.
--
-- Rows are locked one by one, by key, and no more than needed (LATERAL with FOR UPDATE SKIP LOCKED), whatever row counts
-- the planner estimates. `share` is the number of deliveries per endpoint; the endpoints `others` have `rooms` instead.
-- Deliveries to a resting endpoint become due at the end of its rest, without an attempt; manual resends do not rest.
-- Throttled deliveries are marked `throttled` and left to `claim_throttled`. Without any throttle this costs a look at
-- two empty indexes. All three statements return the same columns: a test compares them.

-- name: claim
-- The oldest due deliveries, a bounded number per endpoint, each endpoint's first before any endpoint's second. First
-- attempts and retries are read separately, so that many retries never hide a new message. Deliveries whose endpoints
-- are saturated are left out first, as they may be most of the rows. For fairness beyond the window see claim_by_turns.
WITH seen AS MATERIALIZED (
    (SELECT endpoint_id, message_id, resend, due_at, attempts FROM pending_delivery
     WHERE attempts = 0 AND due_at <= now() ORDER BY due_at LIMIT :window::int)
    UNION ALL
    (SELECT endpoint_id, message_id, resend, due_at, attempts FROM pending_delivery
     WHERE attempts > 0 AND due_at <= now() ORDER BY due_at LIMIT :window::int)
), horizon AS MATERIALIZED (
    SELECT *, row_number() OVER (PARTITION BY endpoint_id, attempts > 0 ORDER BY due_at) AS place FROM seen
    WHERE endpoint_id NOT IN (SELECT endpoint_id FROM unnest(:others::text[], :rooms::int[])
                              AS share(endpoint_id, room) WHERE room = 0)
), resting AS MATERIALIZED (
    SELECT o.endpoint_id, r.until FROM (SELECT DISTINCT endpoint_id FROM horizon) o CROSS JOIN LATERAL (
        SELECT until FROM endpoint_rest r WHERE r.endpoint_id = o.endpoint_id AND r.until > now() OFFSET 0
    ) r
), throttled AS MATERIALIZED (
    SELECT endpoint_id FROM (SELECT DISTINCT endpoint_id FROM seen) o
    CROSS JOIN LATERAL (
        SELECT FROM endpoint e JOIN application a ON a.id = e.app_id
        WHERE e.id = o.endpoint_id AND NOT e.disabled AND e.deleted_at IS NULL
          AND coalesce(e.throttle_rate, a.throttle_rate) IS NOT NULL
        OFFSET 0  -- one by one, by key
    ) t
    WHERE (SELECT EXISTS (SELECT FROM endpoint WHERE throttle_rate IS NOT NULL)
               OR EXISTS (SELECT FROM application WHERE throttle_rate IS NOT NULL))
), put_aside AS (
    UPDATE pending_delivery p SET throttled = true, lease = NULL, due_at = now() + interval '1 hour'
    FROM (SELECT p.* FROM throttled JOIN seen c USING (endpoint_id) CROSS JOIN LATERAL (
        SELECT p.endpoint_id, p.message_id, p.resend, p.due_at FROM pending_delivery p
        WHERE p.endpoint_id = c.endpoint_id AND p.message_id = c.message_id AND p.resend = c.resend
          AND p.due_at <= now() FOR UPDATE SKIP LOCKED
    ) p) w
    WHERE p.endpoint_id = w.endpoint_id AND p.message_id = w.message_id AND p.resend = w.resend
    RETURNING p.message_id
), early AS MATERIALIZED (  -- by itself, or else the planner may lock what is not early as well
    SELECT c.*, s.until FROM resting s JOIN horizon c USING (endpoint_id)
    WHERE c.resend = '' AND c.endpoint_id NOT IN (SELECT endpoint_id FROM throttled)
), deferred AS (
    UPDATE pending_delivery p SET lease = NULL, due_at = w.until + w.place * interval '1 ms'
    FROM (SELECT p.*, c.until, c.place FROM early c CROSS JOIN LATERAL (
        SELECT p.endpoint_id, p.message_id, p.resend, p.due_at FROM pending_delivery p
        WHERE p.endpoint_id = c.endpoint_id AND p.message_id = c.message_id AND p.resend = c.resend
          AND p.due_at <= now() FOR UPDATE SKIP LOCKED
    ) p) w
    WHERE p.endpoint_id = w.endpoint_id AND p.message_id = w.message_id AND p.resend = w.resend
    RETURNING p.due_at
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY endpoint_id ORDER BY place, attempts > 0) AS turn
    FROM horizon WHERE endpoint_id NOT IN (SELECT endpoint_id FROM throttled)
      AND (resend <> '' OR endpoint_id NOT IN (SELECT endpoint_id FROM resting))
), candidate AS MATERIALIZED (
    SELECT r.* FROM ranked r
    LEFT JOIN unnest(:others::text[], :rooms::int[]) AS share(endpoint_id, room) USING (endpoint_id)
    WHERE r.turn <= coalesce(share.room, :share::int)
    ORDER BY r.turn, r.attempts > 0, r.due_at LIMIT :window::int
), chosen AS (
    SELECT p.* FROM candidate c CROSS JOIN LATERAL (
        SELECT p.endpoint_id, p.message_id, p.resend, p.due_at FROM pending_delivery p
        WHERE p.endpoint_id = c.endpoint_id AND p.message_id = c.message_id AND p.resend = c.resend
          AND p.due_at <= now() FOR UPDATE SKIP LOCKED
    ) p LIMIT :most
), taken AS (
    UPDATE pending_delivery p SET lease = :lease, due_at = now() + :lease_lasts::interval, throttled = false
    FROM chosen c
    WHERE p.endpoint_id = c.endpoint_id AND p.message_id = c.message_id AND p.resend = c.resend
    RETURNING p.*, c.due_at AS was_due_at
), full_claim AS (
    SELECT t.*, (SELECT a.uid FROM application a WHERE a.id = t.app_id) AS app_uid,
           m.event_type, m.channels, m.payload, m.content_type, m.correlation_id, m.traceparent, m.deliver_at,
           e.url, e.headers, e.secrets, NOT e.disabled AND e.deleted_at IS NULL AS active,
           e.metadata ->> 'relevo.traceparent' = 'true' AS wants_trace
    FROM taken t
    LEFT JOIN message m ON m.id = t.message_id
    JOIN endpoint e ON e.id = t.endpoint_id
)
SELECT (SELECT greatest(count(*) FILTER (WHERE attempts = 0), count(*) FILTER (WHERE attempts > 0)) FROM seen)
           >= :window::int AS more,
       extract(epoch FROM least(
           (SELECT min(due_at) FROM pending_delivery WHERE attempts = 0 AND due_at > now()),
           (SELECT min(due_at) FROM pending_delivery WHERE attempts > 0 AND due_at > now()),
           (SELECT min(until) FROM resting)
       ) - clock_timestamp())::float8 AS next_due,
       (SELECT EXISTS (SELECT FROM pending_delivery WHERE throttled)) AS throttled_wait,
       (SELECT count(*) FROM put_aside) AS put_aside,
       extract(epoch FROM (SELECT min(due_at) FROM deferred) - now())::float8 AS rests_for,
       c.*
FROM (VALUES (1)) AS always(one) LEFT JOIN full_claim c ON true;

-- name: claim_by_turns
-- For when one backlog fills the window: goes from endpoint to endpoint, each step one index probe. Each application's
-- first delivery comes before any application's second; in random order if there are more than can be claimed.
-- What is due to an endpoint is a range of endpoint and time, so that only an index of both serves. By one of times alone
-- each endpoint would read what is due to all, which the planner takes for little if little was due when it last counted.
WITH RECURSIVE owed AS (
    (SELECT endpoint_id FROM pending_delivery WHERE endpoint_id > :cursor ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT p.endpoint_id FROM pending_delivery p WHERE p.endpoint_id > o.endpoint_id
            ORDER BY p.endpoint_id LIMIT 1)
    FROM owed o WHERE o.endpoint_id IS NOT NULL
), round AS MATERIALIZED (
    SELECT endpoint_id FROM owed WHERE endpoint_id IS NOT NULL LIMIT 500
), throttled AS MATERIALIZED (
    SELECT endpoint_id FROM round o
    CROSS JOIN LATERAL (
        SELECT FROM endpoint e JOIN application a ON a.id = e.app_id
        WHERE e.id = o.endpoint_id AND NOT e.disabled AND e.deleted_at IS NULL
          AND coalesce(e.throttle_rate, a.throttle_rate) IS NOT NULL
        OFFSET 0  -- one by one, by key
    ) t
    WHERE (SELECT EXISTS (SELECT FROM endpoint WHERE throttle_rate IS NOT NULL)
               OR EXISTS (SELECT FROM application WHERE throttle_rate IS NOT NULL))
), resting AS MATERIALIZED (
    SELECT o.endpoint_id, r.until FROM (SELECT DISTINCT endpoint_id FROM round) o CROSS JOIN LATERAL (
        SELECT until FROM endpoint_rest r WHERE r.endpoint_id = o.endpoint_id AND r.until > now() OFFSET 0
    ) r
), ranked AS MATERIALIZED (
    SELECT d.*, row_number() OVER (PARTITION BY d.app_id ORDER BY d.turn, d.attempts > 0) AS app_turn
    FROM (SELECT endpoint_id, coalesce(room, :share::int) AS room
          FROM round
          LEFT JOIN unnest(:others::text[], :rooms::int[]) AS share(endpoint_id, room) USING (endpoint_id)) o
    CROSS JOIN LATERAL (
        SELECT *, row_number() OVER (ORDER BY place, attempts > 0) AS turn FROM (
            (SELECT endpoint_id, message_id, resend, app_id, attempts, row_number() OVER (ORDER BY p.endpoint_id, p.due_at) AS place
             FROM pending_delivery p
             WHERE p.attempts = 0 AND (p.endpoint_id, p.due_at) >= (o.endpoint_id, '-infinity')
               AND (p.endpoint_id, p.due_at) <= (o.endpoint_id, now())
             ORDER BY p.endpoint_id, p.due_at LIMIT o.room)
            UNION ALL
            (SELECT endpoint_id, message_id, resend, app_id, attempts, row_number() OVER (ORDER BY p.endpoint_id, p.due_at) AS place
             FROM pending_delivery p
             WHERE p.attempts > 0 AND (p.endpoint_id, p.due_at) >= (o.endpoint_id, '-infinity')
               AND (p.endpoint_id, p.due_at) <= (o.endpoint_id, now())
             ORDER BY p.endpoint_id, p.due_at LIMIT o.room)
        ) due ORDER BY turn LIMIT o.room
    ) d
    WHERE o.room > 0 AND o.endpoint_id NOT IN (SELECT endpoint_id FROM throttled)
      AND o.endpoint_id NOT IN (SELECT endpoint_id FROM resting)
    ORDER BY app_turn, random()
), chosen AS (
    SELECT p.* FROM ranked c CROSS JOIN LATERAL (
        SELECT p.endpoint_id, p.message_id, p.resend, p.due_at FROM pending_delivery p
        WHERE p.endpoint_id = c.endpoint_id AND p.message_id = c.message_id AND p.resend = c.resend
          AND p.due_at <= now() FOR UPDATE SKIP LOCKED
    ) p LIMIT :most
), taken AS (
    UPDATE pending_delivery p SET lease = :lease, due_at = now() + :lease_lasts::interval, throttled = false
    FROM chosen c
    WHERE p.endpoint_id = c.endpoint_id AND p.message_id = c.message_id AND p.resend = c.resend
    RETURNING p.*, c.due_at AS was_due_at
), full_claim AS (
    SELECT t.*, (SELECT a.uid FROM application a WHERE a.id = t.app_id) AS app_uid,
           m.event_type, m.channels, m.payload, m.content_type, m.correlation_id, m.traceparent, m.deliver_at,
           e.url, e.headers, e.secrets, NOT e.disabled AND e.deleted_at IS NULL AS active,
           e.metadata ->> 'relevo.traceparent' = 'true' AS wants_trace
    FROM taken t
    LEFT JOIN message m ON m.id = t.message_id
    JOIN endpoint e ON e.id = t.endpoint_id
)
SELECT (SELECT CASE WHEN count(*) = 500 THEN max(endpoint_id) ELSE '' END FROM round) AS cursor, c.*
FROM (VALUES (1)) AS always(one) LEFT JOIN full_claim c ON true;

-- name: claim_throttled
-- A token bucket: each throttled endpoint and application has a row with the time of its next delivery. A claim locks
-- that row, so that any number of processes keep the rate exactly; an unused rate is saved for `burst`. Goes from
-- endpoint to endpoint of the throttled deliveries; those of one endpoint leave in the order of their messages. A row
-- that another process has locked is skipped, since that process is claiming its deliveries.
WITH RECURSIVE owed AS (
    (SELECT endpoint_id FROM pending_delivery WHERE throttled AND endpoint_id > :cursor ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT p.endpoint_id FROM pending_delivery p WHERE p.throttled AND p.endpoint_id > o.endpoint_id
            ORDER BY p.endpoint_id LIMIT 1)
    FROM owed o WHERE o.endpoint_id IS NOT NULL
), round AS MATERIALIZED (
    SELECT endpoint_id FROM owed WHERE endpoint_id IS NOT NULL LIMIT 500
), resting AS MATERIALIZED (
    SELECT o.endpoint_id, r.until FROM (SELECT DISTINCT endpoint_id FROM round) o CROSS JOIN LATERAL (
        SELECT until FROM endpoint_rest r WHERE r.endpoint_id = o.endpoint_id AND r.until > now() OFFSET 0
    ) r
), lane AS MATERIALIZED (
    SELECT r.endpoint_id, e.app_id,
           CASE WHEN s.endpoint_id IS NULL THEN coalesce(share.room, :share::int) ELSE 0 END AS room,
           CASE WHEN e.active THEN e.throttle_rate END AS endpoint_rate,
           CASE WHEN e.active THEN e.app_rate END AS app_rate
    FROM round r LEFT JOIN unnest(:others::text[], :rooms::int[]) AS share(endpoint_id, room) USING (endpoint_id)
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
    SELECT s.id, s.rate, greatest(t.next_at, now() - :burst::interval) AS next_at
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
    ) p LIMIT :most
), paid AS (
    UPDATE throttle t SET next_at = h.next_at + make_interval(secs => s.count / h.rate::float8)
    FROM held h JOIN (
        SELECT used.id, count(*) AS count
        FROM chosen CROSS JOIN LATERAL (VALUES (endpoint_id, endpoint_rate), (app_id, app_rate)) AS used(id, rate)
        WHERE used.rate IS NOT NULL GROUP BY used.id
    ) s USING (id)
    WHERE t.id = h.id
    RETURNING t.id, t.next_at
), taken AS (
    UPDATE pending_delivery p SET lease = :lease, due_at = now() + :lease_lasts::interval, throttled = false
    FROM chosen c
    WHERE p.endpoint_id = c.endpoint_id AND p.message_id = c.message_id AND p.resend = c.resend
    RETURNING p.*, c.due_at AS was_due_at
), full_claim AS (
    SELECT t.*, (SELECT a.uid FROM application a WHERE a.id = t.app_id) AS app_uid,
           m.event_type, m.channels, m.payload, m.content_type, m.correlation_id, m.traceparent, m.deliver_at,
           e.url, e.headers, e.secrets, NOT e.disabled AND e.deleted_at IS NULL AS active,
           e.metadata ->> 'relevo.traceparent' = 'true' AS wants_trace
    FROM taken t
    LEFT JOIN message m ON m.id = t.message_id
    JOIN endpoint e ON e.id = t.endpoint_id
)
SELECT (SELECT CASE WHEN count(*) = 500 THEN max(endpoint_id) ELSE '' END FROM round) AS cursor,
       CASE WHEN EXISTS (SELECT FROM made) THEN 0 ELSE (
           SELECT extract(epoch FROM min(greatest(
               (SELECT coalesce(p.next_at, t.next_at) FROM throttle t LEFT JOIN paid p USING (id)
                WHERE t.id = l.endpoint_id AND l.endpoint_rate IS NOT NULL),
               (SELECT coalesce(p.next_at, t.next_at) FROM throttle t LEFT JOIN paid p USING (id)
                WHERE t.id = l.app_id AND l.app_rate IS NOT NULL)
           )) - now())::float8 FROM lane l
       ) END AS next_turn,
       c.*
FROM (VALUES (1)) AS always(one) LEFT JOIN full_claim c ON true;
