"""Rests: an endpoint that asks for less, or that nobody can reach, gets nothing for a while, whoever claims.

The first is short and each that follows at once is twice as long, so that a dead endpoint costs little however much
waits for it. What waits is due when the rest ends, one after the other, and has spent no attempt. A success after a
rest ends the series; a manual resend never waits.
"""

FIRST = 0.25
LONGEST = 30.0
FORGOTTEN_AFTER = "1 hour"

# Of the endpoints in `{source}`, by key. Fit for a statement that claims.
RESTING = """
    SELECT o.endpoint_id, r.until FROM (SELECT DISTINCT endpoint_id FROM {source}) o CROSS JOIN LATERAL (
        SELECT until FROM endpoint_rest r WHERE r.endpoint_id = o.endpoint_id AND r.until > now() OFFSET 0
    ) r
"""

# Attempts that were in flight together are one reason to rest, not many. Chance keeps endpoints that fell together
# from coming back together. Part of SETTLE, over `held` and `health`.
REST = f"""
), weary AS MATERIALIZED (
    SELECT endpoint_id, max(rest) AS asked FROM held WHERE rest IS NOT NULL GROUP BY endpoint_id
), rested AS (
    INSERT INTO endpoint_rest AS r (endpoint_id, rests, until)
    SELECT endpoint_id, 1, now() + make_interval(secs => greatest(asked, {FIRST})) FROM weary ORDER BY endpoint_id
    ON CONFLICT (endpoint_id) DO UPDATE
    SET rests = CASE WHEN r.until > now() THEN r.rests ELSE least(r.rests + 1, 100) END,
        until = greatest(r.until, excluded.until, CASE WHEN r.until <= now() THEN
            now() + make_interval(secs => least({FIRST} * 2.0 ^ r.rests, {LONGEST}) * (0.75 + random() / 2)) END)
), well_again AS (
    DELETE FROM endpoint_rest WHERE endpoint_id = ANY (ARRAY(
        SELECT r.endpoint_id
        FROM (SELECT endpoint_id FROM health WHERE succeeded EXCEPT SELECT endpoint_id FROM weary) h
        CROSS JOIN LATERAL (SELECT endpoint_id FROM endpoint_rest r
                            WHERE r.endpoint_id = h.endpoint_id AND r.until <= now() FOR UPDATE) r
    ))
"""

FORGET_RESTS = f"""
DELETE FROM endpoint_rest WHERE endpoint_id = ANY (ARRAY(
    SELECT endpoint_id FROM endpoint_rest WHERE until < $1::timestamptz - interval '{FORGOTTEN_AFTER}' LIMIT $2
    FOR UPDATE SKIP LOCKED))
"""
