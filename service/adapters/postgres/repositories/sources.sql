-- name: enabled
-- Not those of an organisation that lives in another of several databases.
SELECT id, org_id, name, kind, place, sealed, application, event_type, enabled, created_at, updated_at
FROM source s
WHERE enabled AND coalesce((SELECT residence FROM organisation o WHERE o.org_id = s.org_id) IN ('here', 'leaving'), true)
ORDER BY id;

-- name: report
-- Of a source that was deleted meanwhile nothing is stored. Rows of processes that are long gone are deleted.
WITH gone AS (
    DELETE FROM source_reader WHERE source_id = :source_id AND seen_at < :seen_at::timestamptz - :forgotten_after::interval
)
INSERT INTO source_reader (source_id, reader, state, reason, lag, seen_at)
SELECT id, :reader, :state, :reason::text, :lag::bigint, :seen_at FROM source WHERE id = :source_id FOR KEY SHARE
ON CONFLICT (source_id, reader) DO UPDATE
SET state = excluded.state, reason = excluded.reason, lag = excluded.lag, seen_at = excluded.seen_at;

-- name: refuse
INSERT INTO source_fault (source_id, id, position, application, event_type, event_id, code, detail, created_at)
SELECT source.id, fault.*
FROM unnest(
    :ids::text[], :positions::text[], :applications::text[], :types::text[], :event_ids::text[],
    :codes::text[], :details::text[], :created_ats::timestamptz[]
) AS fault, source
WHERE source.id = :source_id
ON CONFLICT DO NOTHING;

-- name: drop_oldest
DELETE FROM source_fault
WHERE source_id = :source_id AND id <= (
    SELECT id FROM source_fault WHERE source_id = :source_id ORDER BY id DESC OFFSET :most LIMIT 1
);
