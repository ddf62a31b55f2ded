-- name: sample
-- Each of the four counts walks an index and reads only what it counts.
WITH due AS MATERIALIZED (
    (SELECT due_at FROM pending_delivery WHERE attempts = 0 AND due_at <= now() ORDER BY due_at LIMIT :most)
    UNION ALL
    (SELECT due_at FROM pending_delivery WHERE attempts > 0 AND due_at <= now() ORDER BY due_at LIMIT :most)
), coming AS MATERIALIZED (
    (SELECT lease FROM pending_delivery WHERE attempts = 0 AND due_at > now() ORDER BY due_at LIMIT :most)
    UNION ALL
    (SELECT lease FROM pending_delivery WHERE attempts > 0 AND due_at > now() ORDER BY due_at LIMIT :most)
)
SELECT (SELECT count(*) FROM due) AS due,
       (SELECT count(*) FROM coming WHERE lease IS NOT NULL) AS leased,
       (SELECT count(*) FROM coming WHERE lease IS NULL) AS scheduled,
       pg_stat_get_live_tuples('pending_delivery'::regclass) AS about,
       coalesce(extract(epoch FROM now() - (SELECT min(due_at) FROM due)), 0)::float8 AS oldest_due_age;
