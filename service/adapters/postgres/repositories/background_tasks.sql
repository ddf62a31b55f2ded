-- name: claim
-- `due_at` becomes the lease's end, so a task whose lease has expired is due again. What is due is looked for once: in
-- FROM the planner may look for each row of the table, and find another each time.
WITH due AS MATERIALIZED (
    SELECT id FROM background_task
    WHERE status = 'running' AND due_at <= now() AND kind = ANY (:kinds::text[])
    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE background_task t SET lease = :lease, due_at = now() + :lease_lasts::interval
FROM due WHERE t.id = due.id
RETURNING t.*;

-- name: postpone
-- Exponential back-off after failed batches in a row.
UPDATE background_task
SET lease = NULL, failures = least(failures + 1, 100),
    due_at = now() + make_interval(secs => least(2 ^ failures, :longest_wait::float8))
WHERE id = :id AND lease = :lease
RETURNING extract(epoch FROM due_at - now())::float8;

-- name: next_due
-- For a claimed task this is the end of its lease. In the past for one that fell due since the claim; what has been due
-- for longer than the poll is found by the poll.
SELECT extract(epoch FROM min(due_at) - now())::float8 FROM background_task
WHERE status = 'running' AND due_at > now() - :poll::interval AND kind = ANY (:kinds::text[]);

-- name: give_up
UPDATE background_task SET lease = NULL, status = :status, data = :data, updated_at = :at
WHERE id = :id AND lease = :lease;
