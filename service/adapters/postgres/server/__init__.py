"""The PostgreSQL server: address, connections, pools, group commit, wake-ups, schema and migrations."""
