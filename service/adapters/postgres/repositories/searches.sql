-- What is found by an id, or by a name that an application has chosen, in an organisation (:org) or in one application
-- of it (:app, NULL for any). Every look-up is by index, so that a search costs the same however much is kept.

-- name: endpoint
SELECT e.id, e.url AS label, a.id AS app_id, a.name AS app_name, NULL::text AS within
FROM endpoint e JOIN application a ON a.id = e.app_id
WHERE e.org_id = :org AND e.id = :id AND e.deleted_at IS NULL
  AND a.deleted_at IS NULL AND (:app::text IS NULL OR a.id = :app);

-- name: message
-- The id is the partition's key, so one week is read.
SELECT m.id, m.event_type AS label, a.id AS app_id, a.name AS app_name, NULL::text AS within
FROM message m JOIN application a ON a.id = m.app_id
WHERE m.org_id = :org AND m.id = :id AND a.deleted_at IS NULL AND (:app::text IS NULL OR a.id = :app);

-- name: attempt
SELECT t.id, t.event_type AS label, a.id AS app_id, a.name AS app_name, t.message_id AS within
FROM attempt t JOIN application a ON a.id = t.app_id
WHERE t.org_id = :org AND t.id = :id AND a.deleted_at IS NULL AND (:app::text IS NULL OR a.id = :app);

-- name: named
-- Names are unique in an application, and so are their indexes: each application costs a probe of each. The list of
-- applications is an array, of which the planner expects little, so that it never reads all names of all organisations.
WITH mine AS MATERIALIZED (
    SELECT array(SELECT id FROM application
                 WHERE org_id = :org AND deleted_at IS NULL AND (:app::text IS NULL OR id = :app)
                 ORDER BY id DESC LIMIT :applications::bigint) AS ids
)
(SELECT 'message' AS kind, m.id, m.event_type AS label, a.id AS app_id, a.name AS app_name
 FROM event_id e JOIN application a ON a.id = e.app_id JOIN message m ON m.id = e.message_id AND m.app_id = e.app_id
 WHERE e.app_id = ANY ((SELECT ids FROM mine)::text[]) AND e.event_id = :name LIMIT :hits::bigint)
UNION ALL
(SELECT 'endpoint', e.id, e.url, a.id, a.name
 FROM endpoint e JOIN application a ON a.id = e.app_id
 WHERE e.app_id = ANY ((SELECT ids FROM mine)::text[]) AND e.uid = :name AND e.deleted_at IS NULL LIMIT :hits::bigint);
