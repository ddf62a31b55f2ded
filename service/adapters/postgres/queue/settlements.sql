-- name: settle
-- Stores the outcomes of attempts, only for rows whose lease is still the settler's. Rows are locked in sorted order
-- everywhere, so that two batches never deadlock. A success ends all other pending deliveries of the same message to the
-- same endpoint: waiting ones are deleted, leased ones are marked `delivered` and not attempted again. Health: a success
-- ends a series of failures, the first failure begins one; the endpoint is disabled when the series is too long or the
-- destination is gone; faults of ours do not count. Rests double each time, with jitter, and a success after a rest
-- ends the series. `domain/health.py` has the same rules; one table of cases tests both.
WITH input AS MATERIALIZED (
    SELECT * FROM json_to_recordset(:rows::json) AS i(
        endpoint_id text, message_id text, resend text, lease text, delay float8, final_status smallint, gone_from text,
        attempt_id text, event_type text, channels text, url text, status smallint, response text,
        response_status_code smallint, duration_ms int, trigger smallint, number smallint, error_type text,
        trace_id text, span_id text, rest float8, request_headers text, response_headers text)
    LIMIT :size  -- all; without it a plan for 100 rows is made, and kept, which reads tables from end to end
), locked AS MATERIALIZED (  -- its own row and, for a success, the other rows that it ends
    SELECT i.*, p.org_id, p.app_id, p.delivered, p.resend AS row, p.attempts AS row_attempts, p.lease AS row_lease
    FROM input i
    JOIN pending_delivery p ON p.endpoint_id = i.endpoint_id AND p.message_id = i.message_id
     AND CASE WHEN p.resend = i.resend THEN p.lease = i.lease ELSE i.final_status = 0 AND NOT p.again END
    ORDER BY p.endpoint_id, p.message_id, p.resend FOR UPDATE OF p
), ended AS MATERIALIZED (
    SELECT DISTINCT o.endpoint_id, o.message_id, o.row AS resend, o.org_id, o.app_id, o.row_attempts, o.row_lease
    FROM locked o JOIN locked s USING (endpoint_id, message_id, resend)
    WHERE o.row <> o.resend AND s.row = s.resend
), held AS MATERIALIZED (
    SELECT endpoint_id, message_id, resend, org_id, app_id, CASE WHEN NOT over THEN delay END AS delay,
           CASE WHEN over THEN 0 ELSE final_status END AS final_status, over, gone_from, attempt_id, event_type, channels,
           url, status, response, response_status_code, duration_ms, trigger, number, error_type, trace_id, span_id,
           rest, request_headers, response_headers
    FROM (SELECT *, delivered OR (endpoint_id, message_id, resend) IN
                 (SELECT endpoint_id, message_id, resend FROM ended) AS over
          FROM locked WHERE row = resend) own
), kept AS (
    UPDATE pending_delivery p
    SET attempts = h.number, due_at = now() + make_interval(secs => h.delay), lease = NULL,
        previous = '00-' || h.trace_id || '-' || h.span_id || '-01'
    FROM held h
    WHERE h.delay IS NOT NULL
      AND p.endpoint_id = h.endpoint_id AND p.message_id = h.message_id AND p.resend = h.resend
), gone AS (
    DELETE FROM pending_delivery p USING held h
    WHERE h.delay IS NULL
      AND p.endpoint_id = h.endpoint_id AND p.message_id = h.message_id AND p.resend = h.resend
), swept AS (
    DELETE FROM pending_delivery p USING ended e
    WHERE e.row_lease IS NULL
      AND p.endpoint_id = e.endpoint_id AND p.message_id = e.message_id AND p.resend = e.resend
), marked AS (
    UPDATE pending_delivery p SET delivered = true FROM ended e
    WHERE e.row_lease IS NOT NULL
      AND p.endpoint_id = e.endpoint_id AND p.message_id = e.message_id AND p.resend = e.resend
      AND (e.endpoint_id, e.message_id, e.resend) NOT IN (SELECT endpoint_id, message_id, resend FROM held)
), settled AS (
    INSERT INTO settled_delivery AS s (message_id, endpoint_id, org_id, app_id, status, attempts)
    SELECT message_id, endpoint_id, org_id, app_id, min(final_status), sum(number) FROM (
        SELECT message_id, endpoint_id, org_id, app_id, final_status, number FROM held WHERE delay IS NULL
        UNION ALL
        SELECT message_id, endpoint_id, org_id, app_id, 0, row_attempts FROM ended WHERE row_lease IS NULL
    ) final
    GROUP BY message_id, endpoint_id, org_id, app_id  -- a manual and the scheduled delivery may end in one batch
    ORDER BY message_id, endpoint_id
    ON CONFLICT (message_id, endpoint_id) DO UPDATE
    SET status = CASE WHEN s.status = 0 THEN 0 ELSE excluded.status END, attempts = s.attempts + excluded.attempts
), tried AS (
    INSERT INTO attempt (id, org_id, app_id, message_id, endpoint_id, event_type, channels, url, status, response,
                         response_status_code, duration_ms, trigger, number, error_type, trace_id, span_id,
                         request_headers, response_headers)
    SELECT attempt_id, org_id, app_id, message_id, endpoint_id, event_type, string_to_array(channels, ','), url, status,
           response, response_status_code, duration_ms, trigger, number, error_type, trace_id, span_id,
           request_headers, response_headers
    FROM held WHERE attempt_id IS NOT NULL
), counted AS (
    INSERT INTO endpoint_hour AS c (endpoint_id, hour, part, org_id, app_id, success, fail, canceled, exhausted,
                                    milliseconds)
    SELECT endpoint_id, date_trunc('hour', now(), 'UTC'), pg_backend_pid() % 16, min(org_id), min(app_id),
           count(*) FILTER (WHERE attempt_id IS NOT NULL AND status = 0),
           count(*) FILTER (WHERE attempt_id IS NOT NULL AND status <> 0),
           count(*) FILTER (WHERE attempt_id IS NULL AND final_status <> 0),
           count(*) FILTER (WHERE attempt_id IS NOT NULL AND final_status = 2), coalesce(sum(duration_ms), 0)
    FROM held GROUP BY endpoint_id ORDER BY endpoint_id
    ON CONFLICT (endpoint_id, hour, part) DO UPDATE
    SET success = c.success + excluded.success, fail = c.fail + excluded.fail,
        canceled = c.canceled + excluded.canceled, exhausted = c.exhausted + excluded.exhausted,
        milliseconds = c.milliseconds + excluded.milliseconds
), active AS (
    INSERT INTO activity_hour AS c (owner, hour, part, org_id, accepted, success, fail, exhausted, canceled)
    SELECT owner, date_trunc('hour', now(), 'UTC'), pg_backend_pid() % 16, min(org_id), 0,
           count(*) FILTER (WHERE attempt_id IS NOT NULL AND status = 0),
           count(*) FILTER (WHERE attempt_id IS NOT NULL AND status <> 0),
           count(*) FILTER (WHERE attempt_id IS NOT NULL AND final_status = 2),
           count(*) FILTER (WHERE attempt_id IS NULL AND final_status <> 0)
    FROM held CROSS JOIN LATERAL (VALUES (org_id), (app_id)) AS o(owner) GROUP BY owner ORDER BY owner
    ON CONFLICT (owner, hour, part) DO UPDATE
    SET success = c.success + excluded.success, fail = c.fail + excluded.fail,
        exhausted = c.exhausted + excluded.exhausted, canceled = c.canceled + excluded.canceled
), health AS (
    SELECT endpoint_id, bool_or(status = 0) AS succeeded,
           bool_or(status <> 0 AND trigger = 0 AND error_type IS DISTINCT FROM 'internal') AS failed,
           array_agg(gone_from) FILTER (WHERE gone_from IS NOT NULL) AS gone_from
    FROM held WHERE attempt_id IS NOT NULL GROUP BY endpoint_id
), changing AS MATERIALIZED (
    SELECT h.*, its.gone, CASE WHEN its.gone THEN 'gone' ELSE 'failing' END AS why,
           its.gone OR (NOT h.succeeded
                        AND coalesce(e.first_failure_at <= now() - :disable_after::interval, false)) AS off
    FROM health h JOIN endpoint e ON e.id = h.endpoint_id
    CROSS JOIN LATERAL (SELECT coalesce(e.url = ANY (h.gone_from), false) AS gone) its  -- not a URL that it had before
    WHERE CASE
        WHEN its.gone THEN NOT e.disabled
        WHEN h.succeeded THEN e.first_failure_at IS NOT NULL
        ELSE h.failed AND NOT e.disabled
             AND (e.first_failure_at IS NULL OR e.first_failure_at <= now() - :disable_after::interval)
    END
    ORDER BY e.id FOR NO KEY UPDATE OF e
), judged AS (
    UPDATE endpoint e
    SET first_failure_at = CASE WHEN h.succeeded THEN NULL ELSE coalesce(e.first_failure_at, now()) END,
        disabled = e.disabled OR h.off, disabled_reason = CASE WHEN h.off THEN h.why ELSE e.disabled_reason END,
        disabled_at = CASE WHEN h.off THEN now() ELSE e.disabled_at END,
        updated_at = CASE WHEN h.off THEN now() ELSE e.updated_at END
    FROM changing h
    WHERE e.id = h.endpoint_id
    RETURNING e.id, e.disabled AND (h.gone OR NOT h.succeeded) AS disabled
), weary AS MATERIALIZED (  -- attempts of one batch that ask for a rest count as one
    SELECT endpoint_id, max(rest) AS asked FROM held WHERE rest IS NOT NULL GROUP BY endpoint_id
), rested AS (
    INSERT INTO endpoint_rest AS r (endpoint_id, rests, until)
    SELECT endpoint_id, 1, now() + make_interval(secs => greatest(asked, :first_rest::float8))
    FROM weary ORDER BY endpoint_id
    ON CONFLICT (endpoint_id) DO UPDATE
    SET rests = CASE WHEN r.until > now() THEN r.rests ELSE least(r.rests + 1, :most_rests::int) END,
        until = greatest(r.until, excluded.until, CASE WHEN r.until <= now() THEN
            now() + make_interval(secs => least(:first_rest::float8 * 2.0 ^ r.rests, :longest_rest::float8)
                                          * (1 + :rest_spread::float8 * (2 * random() - 1))) END)
), well_again AS (
    DELETE FROM endpoint_rest WHERE endpoint_id = ANY (ARRAY(
        SELECT r.endpoint_id
        FROM (SELECT endpoint_id FROM health WHERE succeeded EXCEPT SELECT endpoint_id FROM weary) h
        CROSS JOIN LATERAL (SELECT endpoint_id FROM endpoint_rest r
                            WHERE r.endpoint_id = h.endpoint_id AND r.until <= now() FOR UPDATE) r
    ))
)
SELECT h.endpoint_id, h.message_id, h.resend, h.over, coalesce(j.disabled, false) AS switched_off
FROM held h LEFT JOIN judged j ON j.id = h.endpoint_id;
