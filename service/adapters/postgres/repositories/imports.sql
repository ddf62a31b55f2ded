-- name: keep_faults
INSERT INTO message_import_fault (import_id, line, code, detail)
SELECT :id, * FROM unnest(:lines::bigint[], :codes::text[], :details::text[]) ON CONFLICT DO NOTHING;
