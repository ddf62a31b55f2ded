-- name: expect
-- Not for an organisation that lives here, which no move brings here.
INSERT INTO organisation (org_id, residence, mover) VALUES (:org_id, 'arriving', :mover::bigint)
ON CONFLICT (org_id) DO UPDATE SET mover = excluded.mover,
    residence = CASE WHEN organisation.residence = 'gone' THEN 'returning' ELSE organisation.residence END
WHERE organisation.mover IS NULL OR organisation.mover <= excluded.mover;

-- name: expected
SELECT FROM organisation WHERE org_id = :org_id AND residence <> 'gone';

-- name: move_in
UPDATE organisation SET residence = 'here', since = now() WHERE org_id = :org_id AND residence <> 'here';

-- name: forget_new
-- Nobody was ever told that it lives here.
DELETE FROM organisation WHERE org_id = :org_id AND mover = :mover::bigint AND residence = 'arriving';

-- name: forget_returning
UPDATE organisation SET residence = 'gone' WHERE org_id = :org_id AND mover = :mover::bigint AND residence = 'returning';
