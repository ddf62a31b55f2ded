-- name: home_of
SELECT database FROM organisation_home WHERE org_id = :org_id;

-- name: homes_of
-- Of many organisations, for a process that may have missed changes.
SELECT org_id, database FROM organisation_home WHERE org_id = ANY (:org_ids::text[]);

-- name: counts
SELECT database, count(*) AS organisations FROM organisation_home GROUP BY database;

-- name: listed
SELECT org_id, database, placed_at FROM organisation_home ORDER BY org_id;

-- name: has_something
-- Whether it has lived here since before there were several databases.
SELECT EXISTS (SELECT FROM application WHERE org_id = :org_id)
    OR EXISTS (SELECT FROM event_type WHERE org_id = :org_id)
    OR EXISTS (SELECT FROM organisation_token WHERE org_id = :org_id)
    OR EXISTS (SELECT FROM source WHERE org_id = :org_id)
    OR EXISTS (SELECT FROM portal_brand WHERE org_id = :org_id)
    OR EXISTS (SELECT FROM audit_event WHERE org_id = :org_id)
    OR EXISTS (SELECT FROM console_session WHERE org_id = :org_id);

-- name: residence
SELECT residence FROM organisation WHERE org_id = :org_id;
