-- name: processes
-- The processes that hold the lock of presence, by role. PostgreSQL hides when the connection of another user began.
SELECT l.objid::int AS role, a.backend_start AS since
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = (:presence::int)::oid AND l.objsubid = 2 AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY l.objid, a.backend_start, l.pid;
