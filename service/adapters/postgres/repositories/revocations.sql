-- name: since
SELECT id, org_id, app_id, token_id, session_id, issued_before, effective_at, forgettable_at, written_at
FROM revocation WHERE written_at > :since ORDER BY written_at;

-- name: forget
DELETE FROM revocation WHERE id = ANY (ARRAY(
    SELECT id FROM revocation WHERE forgettable_at < :now ORDER BY forgettable_at LIMIT :batch));
