-- name: changes
SELECT id, belonging, key FROM tenant_change WHERE org_id = :org_id ORDER BY id LIMIT :most;

-- name: forget
DELETE FROM tenant_change WHERE id = ANY (:ids::bigint[]);

-- name: transactions
-- Each holds a lock on its own number from its first statement to its end, whether it has written or not. The workers of
-- autovacuum read nothing of ours.
SELECT l.virtualtransaction AS id FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'virtualxid' AND l.granted AND a.datname = current_database() AND l.pid <> pg_backend_pid()
  AND a.backend_type IS DISTINCT FROM 'autovacuum worker';

-- name: still_running
SELECT virtualtransaction AS id FROM pg_locks
WHERE locktype = 'virtualxid' AND granted AND virtualtransaction = ANY (:ids::text[]);
