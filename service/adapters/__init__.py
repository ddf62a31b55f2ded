"""The outside world behind the ports: PostgreSQL, HTTP, secrets. Only `runtime` imports from here."""
