-- name: facts
-- Only for organisations that have, or once had, operational endpoints.
SELECT i.nth - 1 AS nth, a.uid AS app_uid, e.uid AS endpoint_uid, e.first_failure_at, m.event_id
FROM unnest(:app_ids::text[], :endpoint_ids::text[], :message_ids::text[]) WITH ORDINALITY AS i(app_id, endpoint_id, message_id, nth)
JOIN application a ON a.id = i.app_id
JOIN application o ON o.org_id = :operations AND o.uid = a.org_id AND o.deleted_at IS NULL
JOIN endpoint e ON e.app_id = a.id AND e.id = i.endpoint_id
LEFT JOIN message m ON m.app_id = a.id AND m.id = i.message_id;
