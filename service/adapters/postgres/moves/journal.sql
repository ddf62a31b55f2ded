-- name: current
SELECT * FROM tenant_move;

-- name: cancel
UPDATE tenant_move SET cancelled = true, updated_at = now() WHERE org_id = :org_id AND step = ANY (:steps::text[])
RETURNING org_id;

-- name: claim
UPDATE tenant_move SET mover = nextval('tenant_mover') WHERE org_id = :org_id RETURNING mover;

-- name: progress
UPDATE tenant_move SET cursor = :cursor, copied = copied + :copied::int, updated_at = now()
WHERE org_id = :org_id AND mover = :mover::bigint RETURNING org_id;

-- name: enter
UPDATE tenant_move SET step = :step, updated_at = now() WHERE org_id = :org_id AND mover = :mover::bigint RETURNING org_id;

-- name: switch
-- Only for the mover that has stopped the intake.
UPDATE tenant_move SET step = 'resuming', updated_at = now()
WHERE org_id = :org_id AND mover = :mover::bigint AND step = 'stopping' AND NOT cancelled
RETURNING target;

-- name: home
UPDATE organisation_home SET database = :target, placed_at = now() WHERE org_id = :org_id;

-- name: end
DELETE FROM tenant_move WHERE org_id = :org_id AND mover = :mover::bigint RETURNING org_id;
