-- name: expunge_all
WITH stretch AS MATERIALIZED (
    SELECT id FROM message WHERE app_id = :app AND id > :after AND id <= :until ORDER BY id LIMIT :size
), emptied AS (
    UPDATE message m SET payload = NULL FROM stretch s
    WHERE m.id = s.id AND m.app_id = :app AND m.payload IS NOT NULL
    RETURNING m.id
)
SELECT (SELECT count(*) FROM emptied) AS found,
       CASE WHEN (SELECT count(*) FROM stretch) = :size THEN (SELECT max(id) FROM stretch) ELSE :until END AS reached;
