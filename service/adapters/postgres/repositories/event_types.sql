-- Writes many event types, always in the order of their names, so that concurrent writers do not deadlock.

-- name: put
-- Existing rows keep their `created_at`. Flags are passed as JSON, since arrays of arrays must have equal lengths.
INSERT INTO event_type (org_id, name, description, archived, deprecated, schemas, feature_flags, group_name,
                        validate_payloads, created_at, updated_at)
SELECT :org::text, name, description, archived, deprecated, schemas::json,
       CASE WHEN flags IS NOT NULL THEN ARRAY(SELECT json_array_elements_text(flags::json)) END, group_name,
       validate_payloads, created_at, updated_at
FROM unnest(:names::text[], :descriptions::text[], :archived::boolean[], :deprecated::boolean[], :schemas::text[],
            :flags::text[], :groups::text[], :validated::boolean[], :created::timestamptz[], :updated::timestamptz[])
  AS new(name, description, archived, deprecated, schemas, flags, group_name, validate_payloads, created_at, updated_at)
ORDER BY name
ON CONFLICT (org_id, name) DO UPDATE SET
    description = excluded.description, archived = excluded.archived, deprecated = excluded.deprecated,
    schemas = excluded.schemas, feature_flags = excluded.feature_flags, group_name = excluded.group_name,
    validate_payloads = excluded.validate_payloads, updated_at = excluded.updated_at;

-- name: archive
UPDATE event_type SET archived = true, updated_at = :at
WHERE org_id = :org AND name = ANY (ARRAY(
    SELECT name FROM event_type WHERE org_id = :org AND name = ANY (:names::text[]) ORDER BY name FOR UPDATE));
