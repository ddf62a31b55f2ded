-- What is forgotten, a batch at a time: whatever is older than `before`.

-- name: remove_payloads
-- Reads by the index of payloads that are there, so what is kept for longer costs nothing.
UPDATE message SET payload = NULL WHERE id = ANY (ARRAY(
    SELECT id FROM message WHERE expires_at <= :before AND payload IS NOT NULL
    ORDER BY expires_at LIMIT :batch FOR UPDATE SKIP LOCKED));

-- name: forget_keys
DELETE FROM idempotency_key WHERE scope = ANY (ARRAY(
    SELECT scope FROM idempotency_key WHERE created_at < :before ORDER BY created_at LIMIT :batch));

-- name: forget_event_ids
DELETE FROM event_id WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM event_id WHERE message_id < :before ORDER BY message_id LIMIT :batch));

-- name: forget_rests
DELETE FROM endpoint_rest WHERE endpoint_id = ANY (ARRAY(
    SELECT endpoint_id FROM endpoint_rest WHERE until < :before LIMIT :batch FOR UPDATE SKIP LOCKED));

-- name: forget_throttles
-- Beyond the burst, a row says the same as none: of endpoints that are deleted, or have no throttle any more, for ever.
DELETE FROM throttle WHERE id = ANY (ARRAY(
    SELECT id FROM throttle WHERE next_at < :before LIMIT :batch FOR UPDATE SKIP LOCKED));

-- name: forget_hours
DELETE FROM endpoint_hour WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM endpoint_hour WHERE hour < :before ORDER BY hour LIMIT :batch));

-- name: forget_tasks
DELETE FROM background_task WHERE id = ANY (ARRAY(
    SELECT id FROM background_task WHERE id < :before AND status <> 'running' ORDER BY id LIMIT :batch));

-- name: forget_refused_lines
-- An import may have refused many lines: they go first, so that no batch takes more than it says.
DELETE FROM message_import_fault WHERE ctid = ANY (ARRAY(
    SELECT f.ctid FROM message_import i JOIN message_import_fault f ON f.import_id = i.id
    WHERE i.updated_at < :before LIMIT :batch));

-- name: forget_imports
DELETE FROM message_import WHERE id = ANY (ARRAY(
    SELECT id FROM message_import WHERE updated_at < :before ORDER BY updated_at LIMIT :batch));

-- name: allow_shortening_audit
-- The trail refuses to be shortened but by a transaction that says up to where.
SELECT set_config('relevo.audit_ends_before', :before, true);

-- name: shorten_audit
DELETE FROM audit_event WHERE id = ANY (ARRAY(
    SELECT id FROM audit_event WHERE id < :before ORDER BY id LIMIT :batch));
