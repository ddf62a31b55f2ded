-- name: release
-- Rows are locked in the same order as in `settle`, since a success elsewhere may end a delivery that is released here.
WITH held AS MATERIALIZED (
    SELECT p.endpoint_id, p.message_id, p.resend
    FROM unnest(:endpoint_ids::text[], :message_ids::text[], :resends::text[], :leases::text[]) AS i(endpoint_id, message_id, resend, lease)
    JOIN pending_delivery p USING (endpoint_id, message_id, resend)
    WHERE p.lease = i.lease
    ORDER BY p.endpoint_id, p.message_id, p.resend FOR UPDATE OF p
)
UPDATE pending_delivery p SET lease = NULL, due_at = now() FROM held h
WHERE p.endpoint_id = h.endpoint_id AND p.message_id = h.message_id AND p.resend = h.resend;
