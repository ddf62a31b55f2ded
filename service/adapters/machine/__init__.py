"""What this machine gives: time, chance, secrets at rest, a directory, an embedded PostgreSQL."""
