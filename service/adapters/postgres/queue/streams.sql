-- name: read_stream
-- One passage of a stream, as far as `scanned` positions; at least one row, which says how far the stream goes.
-- PostgreSQL knows the length of a payload without reading it, and reads the payloads of returned rows only. Positions
-- have a gap only where old ones were deleted, which is before the first that is left.
WITH start AS MATERIALIZED (
    SELECT position - 1 AS after FROM stream_message
    WHERE app_id = :app AND position > :after ORDER BY position LIMIT 1
), wanted AS MATERIALIZED (
    SELECT s.position, s.message_id, s.event_type, s.channels, s.created_at
    FROM start JOIN stream_message s
      ON s.app_id = :app AND s.position > start.after AND s.position <= start.after + :scanned::int
     AND (:event_types::text[] IS NULL OR s.event_type = ANY (:event_types))
     AND (:channels::text[] IS NULL OR s.channels && :channels)
    ORDER BY s.position LIMIT :most
), weighed AS (
    SELECT w.*, m.payload, m.event_id, m.tags, m.deliver_at, m.content_type, m.traceparent, m.correlation_id,
           sum(coalesce(octet_length(m.payload), 0)) OVER (ORDER BY w.position) - coalesce(octet_length(m.payload), 0)
             AS bytes_before,
           count(*) OVER () AS candidates
    FROM wanted w LEFT JOIN message m ON m.id = w.message_id
)
SELECT stream.head, start.after, weighed.*
FROM stream LEFT JOIN start ON true LEFT JOIN weighed ON weighed.bytes_before < :payload_bytes::bigint
WHERE stream.app_id = :app
ORDER BY weighed.position;

-- name: position_at
-- The last position before `at`, found by halving: times rise with positions, since both are given under one lock.
WITH RECURSIVE halved AS (
    SELECT 0::bigint AS low, head AS high FROM stream WHERE app_id = :app
    UNION ALL
    SELECT CASE WHEN is_before THEN middle ELSE low END, CASE WHEN is_before THEN high ELSE middle - 1 END
    FROM (SELECT low, high, (low + high + 1) / 2 AS middle FROM halved WHERE low < high) h
    CROSS JOIN LATERAL (
        SELECT coalesce((SELECT created_at < :at FROM stream_message s WHERE s.app_id = :app AND s.position >= middle
                         ORDER BY s.position LIMIT 1), true) AS is_before
    ) b
)
SELECT low FROM halved WHERE low = high;
