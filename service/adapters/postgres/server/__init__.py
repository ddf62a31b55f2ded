"""The server: its address, connections and pools, group commit, schema and migrations. What runs on it lives beside."""
