-- name: expected
SELECT FROM organisation WHERE org_id = :org_id AND residence <> 'gone';

-- name: move_in
UPDATE organisation SET residence = 'here', since = now() WHERE org_id = :org_id AND residence <> 'here';

-- name: forget_new
-- Nobody was ever told that it lives here.
DELETE FROM organisation WHERE org_id = :org_id AND mover = :mover::bigint AND residence = 'arriving';

-- name: forget_returning
UPDATE organisation SET residence = 'gone' WHERE org_id = :org_id AND mover = :mover::bigint AND residence = 'returning';
