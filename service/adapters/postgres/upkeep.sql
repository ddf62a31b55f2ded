-- Each statement deletes a batch of rows older than `before`.

-- name: remove_payloads
-- Uses the index of messages with payloads, so payloads that are kept longer cost nothing.
UPDATE message SET payload = NULL WHERE id = ANY (ARRAY(
    SELECT id FROM message WHERE expires_at <= :before AND payload IS NOT NULL
    ORDER BY expires_at LIMIT :batch FOR UPDATE SKIP LOCKED));

-- name: forget_keys
DELETE FROM idempotency_key WHERE scope = ANY (ARRAY(
    SELECT scope FROM idempotency_key WHERE created_at < :before ORDER BY created_at LIMIT :batch))
AND created_at < :before;  -- unless it was taken anew meanwhile

-- name: forget_event_ids
DELETE FROM event_id WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM event_id WHERE message_id < :before ORDER BY message_id LIMIT :batch));

-- name: forget_stream_messages
-- A destination that is behind these goes on with the first that is left.
DELETE FROM stream_message WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM stream_message WHERE created_at < :before LIMIT :batch));

-- name: forget_rests
DELETE FROM endpoint_rest WHERE endpoint_id = ANY (ARRAY(
    SELECT endpoint_id FROM endpoint_rest WHERE until < :before LIMIT :batch FOR UPDATE SKIP LOCKED));

-- name: forget_throttles
-- After the burst time an unused row means the same as no row, for example of a deleted endpoint.
DELETE FROM throttle WHERE id = ANY (ARRAY(
    SELECT id FROM throttle WHERE next_at < :before LIMIT :batch FOR UPDATE SKIP LOCKED));

-- name: forget_console_sessions
DELETE FROM console_session WHERE digest = ANY (ARRAY(
    SELECT digest FROM console_session WHERE expires_at < :before ORDER BY expires_at LIMIT :batch));

-- name: forget_hours
DELETE FROM endpoint_hour WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM endpoint_hour WHERE hour < :before ORDER BY hour LIMIT :batch));

-- name: forget_activity
DELETE FROM activity_hour WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM activity_hour WHERE hour < :before ORDER BY hour LIMIT :batch));

-- name: forget_tasks
DELETE FROM background_task WHERE id = ANY (ARRAY(
    SELECT id FROM background_task WHERE id < :before AND status <> 'running' ORDER BY id LIMIT :batch));

-- name: forget_refused_lines
-- Refused lines are deleted before their imports, so that no batch cascades to many more rows.
DELETE FROM message_import_fault WHERE ctid = ANY (ARRAY(
    SELECT f.ctid FROM message_import i JOIN message_import_fault f ON f.import_id = i.id
    WHERE i.updated_at < :before LIMIT :batch));

-- name: forget_imports
DELETE FROM message_import WHERE id = ANY (ARRAY(
    SELECT id FROM message_import WHERE updated_at < :before ORDER BY updated_at LIMIT :batch))
AND updated_at < :before;

-- name: allow_shortening_audit
-- A trigger allows deletions from the audit trail only up to the bound set here, in this transaction.
SELECT set_config('relevo.audit_ends_before', :before, true);

-- name: shorten_audit
DELETE FROM audit_event WHERE id = ANY (ARRAY(
    SELECT id FROM audit_event WHERE id < :before ORDER BY id LIMIT :batch));
